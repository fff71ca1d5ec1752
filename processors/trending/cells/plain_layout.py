"""How a sender writes its events: texts that are the same in all of them, and the fields between these.

A layout is learned from one body. A body of that layout differs from the learned one in its fields alone, so it is as
plain as the learned one where its fields keep their rules.
"""

import re
from collections.abc import Iterator

import numpy as np
from msgspec import Struct

from songline.processors.trending.cells.body_bytes import MARGIN_BYTES, BodyBytes, Ints
from songline.schemas.decoding import read_text

TEXTS = {(): ("id", "subject", "time", "partitionkey"), ("data",): ("userId", "songId", "region", "device")}
"""The fields that are texts, by the objects in which they are."""
NUMBERS = {(): (), ("data",): ("playedMs", "durationMs")}
_REQUIRED = {"id", "time", "userId", "songId"}

TEXT_BYTES = 40
"""A text is shorter than this."""
NUMBER_BYTES = 8
"""A number has no more digits."""

_QUOTE, _ZERO = ord('"'), np.uint8(ord("0"))
_TOKEN = re.compile(rb'"(?P<key>[^"]*)" *:|(?P<value>"[^"]*"|[^"{}\[\]:, ]+)|(?P<open>[{\[])|(?P<close>[}\]])')


class Field(Struct, frozen=True):
    """A field and the text in front of it."""

    before: bytes
    name: str


class FoundFields(Struct, frozen=True):
    """The bodies of a layout, by their places `rows`: of each field by its name where it begins, and its length."""

    rows: Ints
    starts: dict[str, Ints]
    lengths: dict[str, Ints]


class PlainLayout(Struct, frozen=True):
    """The fields in their order, and the text behind the last of them. `kind`: that of the actions."""

    fields: tuple[Field, ...]
    end: bytes
    kind: int

    def find(self, text: BodyBytes, rows: Ints) -> FoundFields:
        """Those of the bodies at `rows` that have this layout, and where their fields are."""
        at = text.starts[rows]
        starts: dict[str, Ints] = {}
        lengths: dict[str, Ints] = {}

        def keep(kept: "np.typing.NDArray[np.bool_]") -> None:
            nonlocal rows, at
            if not kept.all():
                rows, at = rows[kept], at[kept]
                for columns in (starts, lengths):
                    columns.update({name: column[kept] for name, column in columns.items()})

        for field in self.fields:
            keep(_is_there(text, at, field.before))
            starts[field.name] = at + len(field.before)
            lengths[field.name] = _lengths(text, starts[field.name], is_number=field.name in NUMBERS[("data",)])
            at = starts[field.name] + lengths[field.name]
        keep(_is_there(text, at, self.end))
        keep(at + len(self.end) == text.ends[rows])
        return FoundFields(rows, starts, lengths)


def learn_layout(body: bytes, kind: int) -> PlainLayout | None:
    """The layout of a body of an action of this kind, which is plain; None where others can't be judged by it."""
    if b"\\" in body or not body.isascii() or min(body) < ord(" "):
        return None
    fields: list[Field] = []
    start = 0
    seen: set[tuple[str, ...]] = set()
    for path, place, value in _values(body):
        # Of a name that stands twice the last one counts; and no two events of a trace are alike.
        if path in seen or (path == ("traceparent",) and value != b"null"):
            return None
        seen.add(path)
        of, name = path[:-1], path[-1]
        is_text = value[:1] == b'"'
        if name in (TEXTS if is_text else NUMBERS).get(of, ()) and (is_text or value.isdigit()):
            fields.append(Field(body[start : place + is_text], name))
            start = place + len(value) - is_text
        elif name in NUMBERS.get(of, ()) and value != b"null":
            # Such as -0, which is a number and none that is missing.
            return None
    texts = [field.before for field in fields] + [body[start:]]
    if not {field.name for field in fields} >= _REQUIRED or max(map(len, texts)) > MARGIN_BYTES - TEXT_BYTES:
        return None
    return PlainLayout(tuple(fields), body[start:], kind)


def _values(body: bytes) -> Iterator[tuple[tuple[str, ...], int, bytes]]:
    """What stands under each name of an envelope and of the objects in it: the names that lead there, where it begins,
    and how it is written; of an object or a list its bracket."""
    path: list[str] = []
    name: str | None = None
    for token in _TOKEN.finditer(body):
        if token["key"] is not None:
            name = read_text(token["key"])
        elif token["close"] is not None:
            path.pop()
        else:
            if name is not None:
                yield (*path[1:], name), token.start(), token[0]
            if token["open"] is not None:
                # What is in a list has no name, nor has the whole.
                path.append(name or "")
            name = None


def _is_there(text: BodyBytes, at: Ints, wanted: bytes) -> "np.typing.NDArray[np.bool_]":
    """Whether `wanted` is at each of these places."""
    if not wanted or not len(at):
        return np.ones(len(at), np.bool_)
    found = text.cut(at, len(wanted))
    if found.tobytes() == wanted * len(at):
        return np.ones(len(at), np.bool_)
    same: np.typing.NDArray[np.bool_] = (found == np.frombuffer(wanted, np.uint8)).all(axis=1)
    return same


def _lengths(text: BodyBytes, starts: Ints, *, is_number: bool) -> Ints:
    """The lengths of fields. One that has no end where it is looked for has none: what follows it is not there then."""
    width = NUMBER_BYTES + 1 if is_number else TEXT_BYTES
    found = text.cut(starts, width)
    ends = found - _ZERO > 9 if is_number else found == _QUOTE
    lengths: Ints = ends.argmax(axis=1)
    return lengths
