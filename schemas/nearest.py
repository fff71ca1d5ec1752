"""The known name that is most like an unknown one."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str:
    """The rule for `name`, which is none of `known` (one at least): the one that is most like it, and all of them."""
    names = list(known)
    folded = {_folded(one): one for one in names}
    found = get_close_matches(_folded(name), folded, 1, cutoff=0)
    return f"{folded[found[0]]}, which is the nearest of {', '.join(names)}"


def _folded(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
