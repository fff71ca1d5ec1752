"""What a listener says of a recording: loved (1), hated (-1), or neither (0). Pure."""

import re
from typing import Any

from msgspec import Struct

from songline.players.listenbrainz.errors import ListenBrainzError
from songline.schemas.decoding import Decoder, excerpt
from songline.schemas.errors import PoisonError
from songline.schemas.types import ID_PATTERN, MBID_PATTERN, PATTERNS

SCORES = (1, 0, -1)
_ID, _MBID = re.compile(ID_PATTERN), re.compile(MBID_PATTERN)


class Feedback(Struct, frozen=True):
    """A score, of a song of ours or of a recording of MusicBrainz. Hated is as good as not loved: there are likes
    alone."""

    score: int
    song_id: str | None
    recording_mbid: str | None


class _FeedbackBody(Struct):
    score: Any = None
    recording_msid: Any = None
    recording_mbid: Any = None


_bodies: Decoder[_FeedbackBody] = Decoder(_FeedbackBody, "not-feedback")


def read_feedback(body: bytes) -> Feedback:
    """The feedback in the body of a request. Raises ListenBrainzError."""
    try:
        found = _bodies.decode(body)
    except PoisonError as poison:
        raise ListenBrainzError(400, f"Cannot parse JSON document: {poison.detail}.") from None
    if isinstance(found.score, bool) or found.score not in SCORES:
        raise ListenBrainzError(400, f"score: saw {excerpt(repr(found.score))}, expected 1, 0 or -1.")
    song_id, mbid = found.recording_msid or None, found.recording_mbid or None
    if song_id is None and mbid is None:
        raise ListenBrainzError(400, "JSON document must contain either recording_msid or recording_mbid.")
    if song_id is not None and not (isinstance(song_id, str) and _ID.search(song_id)):
        seen = excerpt(repr(song_id))
        raise ListenBrainzError(400, f"recording_msid: saw {seen}, expected {PATTERNS[ID_PATTERN]}.")
    mbid = mbid.lower() if isinstance(mbid, str) else mbid
    if mbid is not None and not (isinstance(mbid, str) and _MBID.search(mbid)):
        raise ListenBrainzError(400, f"recording_mbid: saw {excerpt(repr(mbid))}, expected a MusicBrainz id, a UUID.")
    return Feedback(int(found.score), song_id, mbid)
