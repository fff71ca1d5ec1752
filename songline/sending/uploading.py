"""Sends files to the write API, each once, and polls the state of their ingestions."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from time import monotonic
from typing import TypeAlias

import httpx
import msgspec
from msgspec import Struct

from songline.api_client import segment, words
from songline.identity.token_auth import TokenRefusedError
from songline.identity.token_client import IssuerUnreachableError
from songline.schemas.commands import Metadata, derived_id, said_fields
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError
from songline.schemas.ingestions import Reason, State, Transition
from songline.schemas.types import Moment
from songline.sending.exits import CommandError, ExitCode
from songline.sending.journal import FileSighting, JournalEntry, UploadJournal, readable

PIECE = 256 * 1024
POLL_S = 0.5
LONGEST_PAUSE_S = 10.0
PASSING = (408, 429, 503)
"""The statuses of what may work when it is sent again: the body came too slowly, one caller sends too much, or the API
can't at the moment."""
UP = "Start the system with `songline up`, or use --api URL."
AGAIN = "The same command goes on from there."
ENDS: tuple[State, ...] = ("ready", "rejected", "dead")

SUFFIXES = {
    ".mp3": "audio/mpeg",
    ".mp2": "audio/mpeg",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".spx": "audio/ogg",
    ".m4a": "audio/mp4",
    ".m4b": "audio/mp4",
    ".wav": "audio/wav",
    ".w64": "audio/wav",
    ".aif": "audio/aiff",
    ".aiff": "audio/aiff",
    ".aifc": "audio/aiff",
    ".aac": "audio/aac",
    ".ac3": "audio/ac3",
    ".amr": "audio/amr",
    ".au": "audio/basic",
    ".caf": "audio/x-caf",
    ".mka": "audio/x-matroska",
    ".weba": "audio/webm",
    ".webm": "audio/webm",
    ".wv": "audio/x-wavpack",
    ".ape": "audio/x-ape",
    ".tta": "audio/x-tta",
    ".dsf": "audio/x-dsf",
    ".dff": "audio/x-dff",
    ".mpc": "audio/x-musepack",
    ".wma": "audio/x-ms-wma",
}
"""The suffixes of songs in folders, with the content type to send. The server detects the format by the content."""


Progress: TypeAlias = Callable[[int, int], None]
"""Called with the number of bytes that are sent, and the size of the file in bytes."""


class UploadError(Exception):
    """This file can't be sent as it is; the others can."""


class UploadResponse(Struct, frozen=True, rename="camel"):
    """The fields of the API's answer about an ingestion that this command needs."""

    id: str
    state: State
    reason: Reason | None = None
    removed_at: Moment | None = None
    history: tuple[Transition, ...] = ()

    @property
    def note(self) -> str | None:
        """What is odd about a file that is a song."""
        return self.history[-1].note if self.history else None


class FileSender:
    """Sends the files of `user` to the API at `http`'s base URL, and retries transient errors for `patience_s` seconds.

    `metadata` takes precedence over the tags in the files. `anew` sends files again that were sent before.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        user: str,
        metadata: Metadata,
        journal: UploadJournal,
        patience_s: float,
        anew: bool = False,
    ) -> None:
        self._http, self._user, self._metadata, self._journal = http, user, metadata, journal
        self._patience_s = patience_s
        self._api = str(http.base_url)
        # Part of every key: a new salt makes every upload a new one.
        self._salt = secrets.token_hex(8) if anew else ""

    async def send(self, path: Path, progress: Progress) -> JournalEntry:
        """Send the file unless the journal has it, and return its entry; raises UploadError, CommandError, OSError."""
        file = FileSighting.of(path)
        sha256 = self._journal.sha256(file)
        if sha256 is None:
            sha256 = await asyncio.to_thread(_hash, path)
        metadata = msgspec.json.encode(self._metadata).decode()
        key = derived_id("upload", self._user, sha256, metadata, self._salt)
        entry = self._journal.find(self._api, key)
        if entry is None or await self._must_be_sent_again(entry):
            answer = await self._post(path, file, key, progress)
            if FileSighting.of(path) != file:
                raise UploadError("it was written to while it was sent: send it again when it is done")
            entry = JournalEntry(file, sha256, self._api, key, answer.id, answer.state)
            self._journal.record(entry)
        elif entry.file != file:
            entry = msgspec.structs.replace(entry, file=file)
            self._journal.record(entry)
        progress(file.size, file.size)
        return entry

    async def outcome(self, entry: JournalEntry) -> UploadResponse:
        """The answer in a final state, or the last one after `patience_s` seconds; raises UploadError, CommandError."""
        deadline = monotonic() + self._patience_s
        while True:
            answer = await self._poll(entry)
            if answer.state in ENDS or monotonic() > deadline:
                break
            await asyncio.sleep(POLL_S)
        if answer.state != entry.state:
            self._journal.record(msgspec.structs.replace(entry, state=answer.state))
        return answer

    async def _must_be_sent_again(self, entry: JournalEntry) -> bool:
        """Whether the ingestion is dead or unfinished, or the API at this address doesn't know it (another system)."""
        answer = await self._with_retries(lambda: self._http.get(f"/v1/ingestions/{segment(entry.ingestion)}"))
        if answer.status_code == 404:
            return True
        known = _decoded(answer, 200)
        return known.state == "dead" or (known.reason is not None and known.reason.cause == "unfinished")

    async def _poll(self, entry: JournalEntry) -> UploadResponse:
        answer = await self._with_retries(lambda: self._http.get(f"/v1/ingestions/{segment(entry.ingestion)}"))
        return _decoded(answer, 200)

    async def _post(self, path: Path, file: FileSighting, key: str, progress: Progress) -> UploadResponse:
        params = {"fileName": readable(Path(path.name)), **said_fields(self._metadata)}
        headers = {
            "X-User-Id": self._user,
            "Idempotency-Key": key,
            "Content-Type": SUFFIXES.get(path.suffix.lower(), "application/octet-stream"),
            "Content-Length": str(file.size),
        }

        async def post() -> httpx.Response:
            progress(0, file.size)
            return await self._http.post(
                "/v1/songs", params=params, headers=headers, content=_pieces(path, file.size, progress)
            )

        return _decoded(await self._with_retries(post), 202)

    async def _with_retries(self, send: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
        """The first answer that does not pass by itself; raises CommandError after `patience_s` seconds."""
        deadline = monotonic() + self._patience_s
        pause = 0.5
        is_refused = False
        while True:
            try:
                answer = await send()
                if answer.status_code not in PASSING:
                    return answer
                seen, mend = words(answer), AGAIN
                pause = max(pause, _asked_pause_s(answer))
            except TokenRefusedError:
                # A file that is sent in pieces is not sent again by itself, when a token was refused that is over.
                if is_refused:
                    raise
                is_refused = True
                continue
            except IssuerUnreachableError as error:
                seen, mend = f"{error.message}.", UP
            except httpx.TransportError as error:
                seen, mend = f"{self._api} can't be reached ({type(error).__name__}: {error})", UP
            if monotonic() + pause > deadline:
                raise CommandError(f"{seen} {mend}", ExitCode.UNREACHABLE)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)


_answers = Decoder(UploadResponse, "not-an-answer")


def songs_in(path: Path) -> list[Path]:
    """The file itself, or the files below a folder that have a suffix of SUFFIXES, sorted by path."""
    if not path.is_dir():
        return [path]
    return sorted(
        found
        for found in path.rglob("*")
        if found.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in found.relative_to(path).parts)
        and found.is_file()
    )


def _asked_pause_s(answer: httpx.Response) -> float:
    """For how long the answer asks to wait; a gateway may say it as a date, which is not read."""
    asked = answer.headers.get("retry-after", "")
    return float(asked) if asked.isdecimal() else 0.0


def _decoded(answer: httpx.Response, expected: int) -> UploadResponse:
    if answer.status_code != expected:
        raise UploadError(words(answer))
    try:
        return _answers.decode(answer.content)
    except PoisonError as poison:
        raise UploadError(f"what answers is no Songline API: {poison.detail}") from None


async def _pieces(path: Path, size: int, progress: Progress) -> AsyncIterator[bytes]:
    """The file in pieces, at most the `size` bytes of its Content-Length; `send` detects a file that has grown."""
    sent = 0
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, min(PIECE, size - sent)):
            yield piece
            sent += len(piece)
            progress(sent, size)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
