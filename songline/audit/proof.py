"""What an audit proves: each proof has a sentence, what was counted, and what was found that disproves it."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

SHOWN = 5
"""So many differences of a proof are kept; all are counted."""


class Difference(Struct, frozen=True):
    """One thing that is not as it must be: `what`, what was expected and seen, and `where` to look."""

    what: str
    expected: Any = None
    seen: Any = None
    where: str = ""


class Proof(Struct, frozen=True, kw_only=True):
    """A sentence that the audit has held the system to.

    `checked` says how many things of which kind were compared. `wrong` counts all differences, `differences` are the
    first of them. `missing` says why the sentence could not be checked; then it is neither proven nor disproven.
    """

    name: str
    sentence: str
    checked: Mapping[str, int] = {}
    wrong: int = 0
    differences: tuple[Difference, ...] = ()
    missing: str = ""

    @property
    def holds(self) -> bool:
        """Whether the sentence was checked and nothing disproves it."""
        return not self.wrong and not self.missing


def proof(name: str, sentence: str, checked: Mapping[str, int], differences: Iterable[Difference]) -> Proof:
    """The proof of a sentence, from all differences that were found."""
    found = list(differences)
    return Proof(
        name=name, sentence=sentence, checked=dict(checked), wrong=len(found), differences=tuple(found[:SHOWN])
    )


def unchecked(name: str, sentence: str, why: str) -> Proof:
    """A sentence that could not be checked."""
    return Proof(name=name, sentence=sentence, missing=why)
