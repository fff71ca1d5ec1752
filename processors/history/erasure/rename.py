"""The events of a forgotten listener as the archive keeps them: what charts need of them, and nothing that leads back.

Pure. An event keeps its type, its time, its song, its region and how long it was heard. The listener, the event's id
and the import get other names; the source stays where it does not name the listener; the device, the trace, and
whatever no contract has, go.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import Raw

from songline.schemas.decoding import Decoder
from songline.schemas.envelope import Event, decode
from songline.schemas.errors import PoisonError
from songline.schemas.events import EVENTS, FORMER_EVENTS, ImportUndone, ListenImported, SongRemoved, SongUploaded
from songline.schemas.forgotten import ForgottenNames

NOWHERE = "/forgotten"
"""The source of an event whose own source names the listener."""

REDACTED = "(forgotten)"
"""What stands for the listener in words about them."""

_ATTRIBUTES = (
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "partitionkey",
    "datacontenttype",
    "resubmitof",
    "resubmitfor",
    "data",
)
_DROPPED = ("device",)
_FIELDS = {
    name
    for payload in (*(payload for _, payload in EVENTS.values()), *FORMER_EVENTS.values())
    for name in payload.__struct_encode_fields__
} - {*_DROPPED}

# What an id may be made of, and `:` as it is in a URL.
_WORD = re.compile(r"(?:[A-Za-z0-9._:-]|%3[Aa])+")
_MAX_ID = 128
_MAX_WRITTEN = 3 * _MAX_ID
_PUNCTUATION = ".:"

_NO_NAMES = ForgottenNames(bytes(32))

_anything: Decoder[Any] = Decoder(Any)
_members: Decoder[dict[str, Raw]] = Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode


def may_mention(body: bytes, user_id: str) -> bool:
    """Whether `body` may be of the listener or name them: cheap, and never wrong where it says no."""
    return user_id.encode() in body or b"\\" in body or (":" in user_id and b"%3" in body)


def renamed_body(body: bytes, user_id: str, names: ForgottenNames, enqueued_s: int) -> tuple[bytes, str]:
    """The body without the listener, and the name that they have in it; `body` itself where it is no event of theirs
    and does not name them.

    A body that is no event gets the name of the hour in which the hub took it, `enqueued_s`, in place of every text
    that is the listener's id.
    """
    of_hour = names.of_hour(enqueued_s)
    if not may_mention(body, user_id):
        return body, of_hour
    try:
        event = decode(body)
    except PoisonError:
        return _without_quoted(body, user_id, of_hour), of_hour
    if event.data.user_id != user_id:
        return body, of_hour
    return _renamed(body, event, user_id, names), name_of(event, names)


def mentions(body: bytes, user_id: str) -> bool:
    """Whether `body` is an event of the listener, or names them."""
    return renamed_body(body, user_id, _NO_NAMES, 0)[0] is not body


def renamed_properties(properties: Mapping[str, Any], user_id: str, name: str) -> dict[str, Any]:
    """Properties of an event, where each value that names the listener is `name`."""
    return {key: _other(value, name) if _names(value, user_id) else value for key, value in properties.items()}


def name_of(event: Event, names: ForgottenNames) -> str:
    """The name that the listener of `event` gets in it."""
    if isinstance(event.data, SongUploaded | SongRemoved):
        return names.of_song(event.data.song_id)
    return names.of_hour(int(event.time.timestamp()))


def _renamed(body: bytes, event: Event, user_id: str, names: ForgottenNames) -> bytes:
    name, event_id = name_of(event, names), names.of_event(event.id)
    written = _members.decode(body)
    data = {key: value for key, value in _members.decode(bytes(written["data"])).items() if key in _FIELDS}
    data["userId"] = _raw(name)
    if isinstance(event.data, ListenImported | ImportUndone):
        # All listens of one import have its id: they would stay together.
        data["importId"] = _raw(event_id)
    kept = {key: value for key, value in written.items() if key in _ATTRIBUTES}
    kept["id"] = _raw(event_id)
    if replaced_in(event.source, user_id, name) != event.source:
        kept["source"] = _raw(NOWHERE)
    if "partitionkey" in kept:
        kept["partitionkey"] = _raw(name)
    if "subject" in kept and _names(_anything.decode(bytes(kept["subject"])), user_id):
        kept["subject"] = _raw(name)
    kept["data"] = Raw(_encode(data))
    return _encode(kept)


def _without_quoted(body: bytes, user_id: str, name: str) -> bytes:
    """`body` with each JSON string that is the id replaced; as it is where it is no JSON, or does not have it."""
    try:
        found = _anything.decode(body)
    except PoisonError:
        after = replaced_in(body.decode("latin-1"), user_id, name).encode("latin-1")
        return body if after == body else after
    replaced = replaced_texts(found, user_id, name)
    return body if replaced == found else _encode(replaced)


def replaced_texts(value: Any, user_id: str, name: str) -> Any:
    """A JSON value in which every text that is the listener's id, or names it between other signs, is or has `name`."""
    match value:
        case str():
            return replaced_in(value, user_id, name)
        case dict():
            return {replaced_in(key, user_id, name): replaced_texts(item, user_id, name) for key, item in value.items()}
        case list():
            return [replaced_texts(item, user_id, name) for item in value]
        case _:
            return value


def replaced_in(text: str, user_id: str, name: str) -> str:
    """`text` with the id replaced where it is a word of its own: not within a longer id.

    Every sign that an id may have is part of a word. So `bob:2`, `bob.smith` and `bob.` do not name `bob`, but for a
    full stop or a colon that ends a word of a sentence.
    """
    if user_id not in text and not (":" in user_id and "%3" in text):
        return text

    def other(word: re.Match[str]) -> str:
        for one in _readings(text, word):
            if user_id in (one, unquote(one)):
                return name + word[0][len(one) :]
        return word[0]

    return _WORD.sub(other, text)


def ids_in(body: bytes) -> Iterator[str]:
    """All words of a body that is no event which may be an id, each once."""
    try:
        found = _anything.decode(body)
    except PoisonError:
        found = body.decode("latin-1")
    seen = set()
    for text in _texts(found):
        for word in _WORD.finditer(text):
            for one in _readings(text, word):
                if (id_ := unquote(one)) not in seen and len(id_) <= _MAX_ID:
                    seen.add(id_)
                    yield id_


def _readings(text: str, word: re.Match[str]) -> Iterator[str]:
    """The word, and where it is one of a sentence, what it is without the full stop or colon behind it."""
    yield word[0]
    start, end = word.span()
    before, after = text[max(0, start - 1) : start], text[end : end + 1]
    if (before + after).strip() or word[0] == text:
        return
    # A body may have a million of these signs in a row.
    bare = max(1, len(word[0].rstrip(_PUNCTUATION)))
    for size in range(min(end - start - 1, _MAX_WRITTEN), bare - 1, -1):
        yield word[0][:size]


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, item in value.items():
                yield key
                yield from _texts(item)
        case list():
            for item in value:
                yield from _texts(item)


def _names(value: Any, user_id: str) -> bool:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return isinstance(value, str) and replaced_in(value, user_id, NOWHERE) != value


def _other(value: Any, name: str) -> str | bytes:
    return name.encode() if isinstance(value, bytes) else name


def _raw(text: str) -> Raw:
    return Raw(_encode(text))
