"""Old versions of an event's data to today's, one pure step at a time.

Stored events are read, never rewritten: a step takes the data (a mapping, as decoded from JSON) of one version
and returns that of the next, as a mapping of its own.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from songline.schemas.errors import PoisonError

Data: TypeAlias = dict[str, Any]
UpcastStep: TypeAlias = Callable[[Data], Data]

UPCASTS: Mapping[tuple[str, int], UpcastStep] = {("songline.song.played", 1): dict}
"""(logical name, version) to the step from that version to the next.

The second version of a play only lets fields be missing that the first one must have, so its data stays as it is.
"""


def upcast(
    name: str, version: int, target: int, data: Data, steps: Mapping[tuple[str, int], UpcastStep] = UPCASTS
) -> Data:
    """`data`, which keeps the contract of `version`, as data of `target`.

    Raises PoisonError where a step is missing or can't make sense of it.
    """
    for at in range(version, target):
        step = steps.get((name, at))
        if step is None:
            raise PoisonError("unknown-version", f"no step leads from {name}.v{at} to version {target}")
        try:
            data = step(data)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise PoisonError("broken-contract", f"the step from {name}.v{at} met {error!r}") from error
    return data
