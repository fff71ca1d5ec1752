"""Reads bodies of layouts that are known, a column at a time: no object is made for an event.

What it does not read, it leaves: bodies of other layouts, and those with a field that is not plainly right.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from songline.processors.trending.action_hashes import ID_CHARACTERS, UserHashes
from songline.processors.trending.cells.action_codes import LOW_BITS
from songline.processors.trending.cells.body_bytes import BodyBytes, Ints
from songline.processors.trending.cells.event_minutes import text_minutes
from songline.processors.trending.cells.plain_layout import (
    NUMBER_BYTES,
    TEXT_BYTES,
    FoundFields,
    PlainLayout,
    learn_layout,
)
from songline.processors.trending.count_table import LISTENS
from songline.processors.trending.id_table import NO_ID, WORD_BYTES, Words
from songline.processors.trending.song_index import NO_REGION, REGION_BITS, SongIndex, region_numbers
from songline.schemas.policy import ChartPolicy
from songline.schemas.types import DAY_MS

LEAST_BODIES = 64
"""Fewer are read one by one: each column costs as much as some of them."""
MOST_LAYOUTS = 8

Mask = npt.NDArray[np.bool_]

SHORT_BYTES = 2 * WORD_BYTES
"""Ids that are no longer are compared as two words."""
REGION_BYTES = 2

_MASKS = {
    width: np.where(np.arange(width) < np.arange(TEXT_BYTES + 1)[:, np.newaxis], 255, 0).astype(np.uint8)
    for width in (SHORT_BYTES, TEXT_BYTES)
}
"""By a text's length, the bytes of it that are its own."""
_POWERS = np.array(
    [
        [10 ** (length - place - 1) if place < length else 0 for place in range(NUMBER_BYTES)]
        for length in range(NUMBER_BYTES + 1)
    ],
    np.int64,
)
"""By a number's length, what each of its digits counts."""
_IS_OF_NO_ID = np.ones(256, np.bool_)
_IS_OF_NO_ID[np.frombuffer(ID_CHARACTERS, np.uint8)] = False


class ScannedActions(Struct, frozen=True):
    """The actions that were read, by the places of their bodies, which rise: listener, `codes` of song, region and kind
    without a minute, minute since 1970. `is_action`: False for a play that is no listen."""

    rows: Ints
    listeners: Ints
    codes: Ints
    minutes: Ints
    is_action: Mask


class BodyScanner:
    """The layouts that came last, those that most bodies had first."""

    def __init__(self) -> None:
        self._layouts: list[PlainLayout] = []

    def learn(self, body: bytes, kind: int) -> None:
        """Know the layout of a body, which is plain, from now on."""
        layout = learn_layout(body, kind)
        if layout is not None and layout not in self._layouts:
            self._layouts = [*self._layouts[: MOST_LAYOUTS - 1], layout]

    def scan(
        self, bodies: Sequence[bytes], songs: SongIndex, users: UserHashes, policy: ChartPolicy
    ) -> list[ScannedActions]:
        """The actions in bodies of known layouts. Songs and listeners become known as they come."""
        if len(bodies) < LEAST_BODIES or not self._layouts:
            return []
        text = BodyBytes(bodies)
        left = text.simple()
        found: list[tuple[PlainLayout, ScannedActions]] = []
        for layout in self._layouts:
            if len(left) < LEAST_BODIES:
                break
            fields = layout.find(text, left)
            if len(fields.rows):
                found.append((layout, _actions(text, fields, layout.kind, songs, users, policy)))
                left = _without(left, fields.rows, len(bodies))
        found.sort(key=lambda one: -len(one[1].rows))
        used = [layout for layout, _ in found]
        self._layouts = used + [layout for layout in self._layouts if layout not in used]
        return [actions for _, actions in found]


def _without(rows: Ints, some: Ints, count: int) -> Ints:
    """The rows, of `count` at most, without some of them."""
    left = np.zeros(count, np.bool_)
    left[rows] = True
    left[some] = False
    return np.flatnonzero(left)


def _actions(
    text: BodyBytes, fields: FoundFields, kind: int, songs: SongIndex, users: UserHashes, policy: ChartPolicy
) -> ScannedActions:
    good = _are_filled(fields) & _is_id(text, fields)
    user, song = _words(text, fields, "userId"), _words(text, fields, "songId")
    if "partitionkey" in fields.starts:
        good &= _is_user(text, fields)
    region = np.zeros(len(good), np.int64)
    if "region" in fields.starts:
        region = region_numbers(text.cut(fields.starts["region"], REGION_BYTES))
        good &= (fields.lengths["region"] == REGION_BYTES) & (region != NO_REGION)
    played_ms, duration_ms = (_number(text, fields, name, good) for name in ("playedMs", "durationMs"))
    minutes = _minutes(text, fields, good)
    at = np.flatnonzero(good)
    if len(at) < len(good):
        user, song = user[at], song[at]
    listeners, numbers = users.table.numbers(user, users), songs.table.numbers(song, songs)
    known = (listeners != NO_ID) & (numbers != NO_ID)
    if not known.all():
        at, listeners, numbers = at[known], listeners[known], numbers[known]
    is_action = np.ones(len(at), np.bool_)
    if kind == LISTENS and played_ms is not None:
        rule = policy.listen
        for place in np.flatnonzero(played_ms[at] < rule.least_ms).tolist():
            of_ms = None if duration_ms is None else int(duration_ms[at[place]])
            is_action[place] = rule.is_listen(int(played_ms[at[place]]), of_ms)
    codes = (numbers << REGION_BITS | region[at]) << LOW_BITS | kind
    return ScannedActions(fields.rows[at], listeners, codes, minutes[at], is_action)


def _are_filled(fields: FoundFields) -> Mask:
    """Whether no field is empty that may not be."""
    filled = np.ones(len(fields.rows), np.bool_)
    for name, lengths in fields.lengths.items():
        if name != "subject":
            filled &= lengths > 0
    return filled


def _is_id(text: BodyBytes, fields: FoundFields) -> Mask:
    """Whether the events' ids are ids, and begin with no dot: one of dots only is none."""
    lengths = fields.lengths["id"]
    found = text.cut(fields.starts["id"], int(lengths.max(initial=0)) + 1)
    # The quote behind an id is the first that is of none.
    is_id: Mask = (_IS_OF_NO_ID[found].argmax(axis=1) == lengths) & (found[:, 0] != ord("."))
    return is_id


def _is_user(text: BodyBytes, fields: FoundFields) -> Mask:
    """Whether the key of the partition is the listener."""
    same: Mask = fields.lengths["partitionkey"] == fields.lengths["userId"]
    if same.all():
        same &= (_words(text, fields, "partitionkey") == _words(text, fields, "userId")).all(axis=1)
        return same
    return np.zeros(len(same), np.bool_)


def _words(text: BodyBytes, fields: FoundFields, name: str) -> Words:
    """A field in words, behind its end zeros."""
    lengths = fields.lengths[name]
    width = SHORT_BYTES if int(lengths.max(initial=0)) <= SHORT_BYTES else TEXT_BYTES
    return (text.cut(fields.starts[name], width) & np.take(_MASKS[width], lengths, axis=0)).view(np.uint64)


def _number(text: BodyBytes, fields: FoundFields, name: str, good: Mask) -> Ints | None:
    """A field that is a time in milliseconds, None where the layout has none. `good` becomes False where it is none."""
    if name not in fields.starts:
        return None
    lengths = fields.lengths[name]
    digits = text.cut(fields.starts[name], NUMBER_BYTES) - np.uint8(ord("0"))
    numbers: Ints = np.einsum("ij,ij->i", digits, np.take(_POWERS, lengths, axis=0))
    good &= ((digits[:, 0] != 0) | (lengths == 1)) & (numbers <= DAY_MS)
    return numbers


def _minutes(text: BodyBytes, fields: FoundFields, good: Mask) -> Ints:
    """Minutes since 1970 of the events' times. `good` becomes False where one is not written plainly."""
    starts, lengths = fields.starts["time"], fields.lengths["time"]
    minutes = np.zeros(len(starts), np.int64)
    for width in np.unique(lengths).tolist():
        at = np.flatnonzero((lengths == width) & good)
        if not len(at):
            continue
        try:
            minutes[at] = text_minutes(text.cut(starts[at], width))
        except ValueError:
            good[at] = False
    return minutes
