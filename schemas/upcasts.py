"""Old versions of an event's data to today's, one pure step at a time.

Stored events are read, never rewritten: a step takes the data (a mapping, as decoded from JSON) of one version
and returns that of the next.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Data: TypeAlias = dict[str, Any]
Step: TypeAlias = Callable[[Data], Data]

UPCASTS: Mapping[tuple[str, int], Step] = {}
"""(logical name, version) to the step from that version to the next. Every type is at its first version today."""


def upcast(name: str, version: int, target: int, data: Data, steps: Mapping[tuple[str, int], Step] = UPCASTS) -> Data:
    """`data` of `version` as data of `target`; raises KeyError with (name, version) where a step is missing."""
    for at in range(version, target):
        data = steps[name, at](data)
    return data
