"""What differs between two versions of a projection, and the joining of two sorted streams. Pure."""

from collections.abc import AsyncIterator
from typing import TypeVar

from msgspec import Struct

T = TypeVar("T")

SHOWN = 20
"""So many differences are named; all are counted."""


class VersionDifference(Struct, frozen=True, rename="camel"):
    """A document, or a listener's library, that differs: `id`, and what differs in it first."""

    id: str
    detail: str


class VersionComparison(Struct, kw_only=True, rename="camel"):
    """What two versions differ in. Both are compared at `position`, which each of them has reached; `is_same_position`:
    neither is further.

    `documents`: how many each has, by version. `equal` and `differing` are in both. `later` can't be told apart from
    what only one of them has applied yet. `differences`: the first ones.
    """

    projection: str
    versions: tuple[int, int]
    position: dict[str, int]
    is_same_position: bool
    documents: dict[str, int] = {}
    equal: int = 0
    differing: int = 0
    missing: dict[str, int] = {}
    later: int = 0
    differences: list[VersionDifference] = []

    def count_differing(self, document_id: str, detail: str) -> None:
        """Count a document that both have and that differs."""
        self.differing += 1
        self._show(document_id, detail)

    def note_missing(self, document_id: str, version: int) -> None:
        """Count a document that `version` lacks."""
        self.missing[str(version)] = self.missing.get(str(version), 0) + 1
        self._show(document_id, f"version {version} has none")

    def count(self, version: int) -> None:
        """Count a document of a version."""
        self.documents[str(version)] = self.documents.get(str(version), 0) + 1

    def _show(self, document_id: str, detail: str) -> None:
        if len(self.differences) < SHOWN:
            self.differences.append(VersionDifference(document_id, detail))


async def joined(
    left: AsyncIterator[tuple[tuple[str, str], T]], right: AsyncIterator[tuple[tuple[str, str], T]]
) -> AsyncIterator[tuple[tuple[str, str], T | None, T | None]]:
    """Each key of two streams that are sorted by keys, with what each has of it, None where it has nothing."""
    one, other = await anext(left, None), await anext(right, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one[0] < other[0]):
            assert one is not None
            yield one[0], one[1], None
            one = await anext(left, None)
        elif one is None or other[0] < one[0]:
            yield other[0], None, other[1]
            other = await anext(right, None)
        else:
            yield one[0], one[1], other[1]
            one, other = await anext(left, None), await anext(right, None)


def difference_of(one: object, other: object, path: str = "") -> str:
    """The first place in which two values of JSON's types differ, as a sentence; empty where they are equal."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys(), key=str):
            if found := difference_of(one.get(key), other.get(key), f"{path}.{key}" if path else str(key)):
                return found
        return ""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        for place, (left, right) in enumerate(zip(one, other, strict=True)):
            if found := difference_of(left, right, f"{path}[{place}]"):
                return found
        return ""
    return "" if one == other else f"{path}: {_short(one)} and {_short(other)}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
