"""A song's file as a response: all of it, or a range."""

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from songline.projections.http.problems import Problem, answer
from songline.projections.http.ranges import ByteRange, UnsatisfiableRangeError, wanted
from songline.projections.http.responses import is_known
from songline.projections.songs.audio import SongAudio
from songline.projections.songs.served_audio import file_headers, served_type
from songline.schemas.songs import Song

# A removed song must not be played from a cache: each use of a cached copy is revalidated.
AUDIO_CACHE = "no-cache"
NO_BLOBS = (
    "This API was started without Blob Storage: set AZURE_STORAGEBLOB_CONNECTIONSTRING or "
    "AZURE_STORAGEBLOB_RESOURCEENDPOINT."
)


class NoAudioError(Exception):
    """The song was announced without its audio: there is nothing to play."""


async def audio_response(request: Request, song: Song) -> Response:
    """The bytes as they were uploaded, or what RFC 9110 says instead of them: 206, 304 and 416; 503 where the API has
    no Blob Storage.

    Raises NoAudioError, AudioLostError and StoreUnavailableError.
    """
    if song.sha256 is None or song.size is None:
        raise NoAudioError(f"Song {song.id} was announced without its audio.")
    size, tag = song.size, f'"{song.sha256}"'
    headers = {"ETag": tag, "Cache-Control": AUDIO_CACHE, "Accept-Ranges": "bytes"}
    headers |= file_headers(song.id, song.content_type)
    if is_known(request, tag):
        return Response(status_code=304, headers=headers)
    try:
        # RFC 9110 section 14.2: Range applies to GET only.
        header = request.headers.get("range") if request.method == "GET" else None
        part = wanted(header, request.headers.get("if-range"), tag, size)
    except UnsatisfiableRangeError:
        response = answer(Problem("No such range", 416, f"Song {song.id} has {size} bytes; ask for some of these."))
        response.headers["Content-Range"] = f"bytes */{size}"
        return response
    sent = ByteRange(0, size - 1) if part is None else part
    headers["Content-Length"] = str(sent.length)
    if part is not None:
        headers["Content-Range"] = f"bytes {part.first}-{part.last}/{size}"
    status, media = 200 if part is None else 206, served_type(song.content_type)
    store: SongAudio | None = request.app.state.audio
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media)
    if store is None:
        return answer(Problem("No audio here", 503, NO_BLOBS))
    return StreamingResponse(await store.open(song.sha256, sent), status, headers, media)
