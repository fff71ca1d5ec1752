"""What a player submits: listens in ListenBrainz' form, read and checked as a whole. Pure.

Source: ListenBrainz API, "JSON documentation". What is unknown beside the fields that are read is passed over.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from songline.players.listenbrainz.errors import ListenBrainzError
from songline.processors.imports.formats.listenbrainz import ListenBrainzRow, listenbrainz_listen
from songline.processors.imports.json_rows import field
from songline.processors.imports.rows import EARLIEST_MS, HistoryListen, shown
from songline.schemas.decoding import Decoder, excerpt
from songline.schemas.errors import PoisonError
from songline.schemas.event_time import MAX_FUTURE, is_too_late
from songline.schemas.library.action import moment_of

ListenType = Literal["single", "import", "playing_now"]
LISTEN_TYPES: tuple[ListenType, ...] = ("single", "import", "playing_now")

MAX_LISTENS = 1_000
"""So many listens a request may have."""
MAX_LISTEN_BYTES = 10_240
MAX_BODY_BYTES = MAX_LISTENS * MAX_LISTEN_BYTES
MAX_DEVICE = 64
_MS_US = 1_000
_PLAYERS = ("media_player", "submission_client", "listening_from")


class SubmittedListen(Struct, frozen=True):
    """A listen, and the player or the client that reports it, where it says so."""

    listen: HistoryListen
    device: str | None = None

    @property
    def at(self) -> datetime:
        """When it began."""
        return moment_of(self.listen.began_ms * _MS_US)


class SubmittedListens(Struct, frozen=True):
    """The listens of a request. Those that are playing now have the moment of the request."""

    listen_type: ListenType
    listens: tuple[SubmittedListen, ...]


class _Body(Struct):
    listen_type: Any = None
    payload: Any = None


_bodies: Decoder[_Body] = Decoder(_Body, "not-listens")


def check_encoding(encoding: str | None) -> None:
    """Raise ListenBrainzError for a body that is not sent as it is."""
    if (encoding or "identity").strip().lower() != "identity":
        raise ListenBrainzError(
            415, f"Content-Encoding: saw {excerpt(encoding or '')!r}, expected none: send the JSON as it is."
        )


def read_submission(body: bytes, now: datetime) -> SubmittedListens:
    """The listens in the body of a request that came at `now`. Raises ListenBrainzError: all of them are taken, or
    none."""
    try:
        found = _bodies.decode(body)
    except PoisonError as poison:
        raise ListenBrainzError(400, f"Cannot parse JSON document: {poison.detail}.") from None
    if found.listen_type not in LISTEN_TYPES:
        seen = excerpt(repr(found.listen_type))
        raise ListenBrainzError(400, f"listen_type: saw {seen}, expected one of {', '.join(LISTEN_TYPES)}.")
    rows = found.payload
    if not isinstance(rows, list) or not rows:
        raise ListenBrainzError(400, "JSON document does not contain any listens: expected payload, a list of them.")
    most = MAX_LISTENS if found.listen_type == "import" else 1
    if len(rows) > most:
        raise ListenBrainzError(400, f"Too many listens: saw {len(rows)}, expected {most} at most in one request.")
    if len(body) > len(rows) * MAX_LISTEN_BYTES:
        raise ListenBrainzError(
            400, f"JSON document is too large: saw {len(body)} bytes, expected {MAX_LISTEN_BYTES} a listen at most."
        )
    return SubmittedListens(found.listen_type, _read_listens(rows, found.listen_type, now))


def _read_listens(rows: Sequence[Any], listen_type: ListenType, now: datetime) -> tuple[SubmittedListen, ...]:
    return tuple(_read_listen(f"payload[{place}]", row, listen_type, now) for place, row in enumerate(rows))


def _read_listen(place: str, row: Any, listen_type: ListenType, now: datetime) -> SubmittedListen:
    words = field(row, "track_metadata")
    for name in ("track_name", "artist_name"):
        if shown(field(words, name)) is None:
            seen = excerpt(repr(field(words, name)))
            raise ListenBrainzError(400, f"{place}.track_metadata.{name}: saw {seen}, expected a text.")
    began_s = field(row, "listened_at")
    if listen_type == "playing_now":
        began_s = int(now.timestamp())
    listen = listenbrainz_listen(place, ListenBrainzRow(began_s, words))
    if not isinstance(listen, HistoryListen):
        seen = excerpt(repr(began_s))
        unit = ", and no milliseconds" if isinstance(began_s, int) and began_s > EARLIEST_MS else ""
        raise ListenBrainzError(
            400,
            f"{place}.listened_at: saw {seen}, expected seconds since 1970, of {EARLIEST_MS // 1000} or later{unit}.",
        )
    submitted = SubmittedListen(listen, _device(field(words, "additional_info")))
    if is_too_late(submitted.at, now):
        raise ListenBrainzError(
            400,
            f"{place}.listened_at: saw {began_s}, expected {int((now + MAX_FUTURE).timestamp())} at most, in an hour.",
        )
    return submitted


def _device(info: Any) -> str | None:
    """The player that a listen was heard with, else the client that reports it."""
    for name in _PLAYERS:
        text = shown(field(info, name))
        if text is not None:
            return text[:MAX_DEVICE].strip() or None
    return None
