"""Where a reader starts: the selector filter of its source.

amqp.annotation.x-opt-offset > '-1'                       the beginning ('@latest': the end)
amqp.annotation.x-opt-sequence-number >= '42'
amqp.annotation.x-opt-enqueued-time > '1700000000000'     Unix milliseconds
"""

import re
from typing import Final

from localcloud.amqp.errors import INVALID_FIELD, AmqpError
from localcloud.amqp.performatives import Source
from localcloud.amqp.types import Described, Symbol
from localcloud.log.partition import PartitionLog

_SELECTOR_NAMES: Final = frozenset({"apache.org:selector-filter:string", 0x0000_468C_0000_0004})
_ARGUMENT_ERROR: Final = Symbol("com.microsoft:argument-error")
_SELECTOR: Final = re.compile(r"\s*amqp\.annotation\.(x-opt-[a-z-]+)\s*(>=?)\s*'?([^']*?)'?\s*")


def selector_of(source: Source) -> str | None:
    """The text of the selector filter; None when there is none. Raises AmqpError (invalid field)."""
    for name, described in (source.filter or {}).items():
        value = described.value if isinstance(described, Described) else described
        descriptor = described.descriptor if isinstance(described, Described) else name
        if _SELECTOR_NAMES & {str(name), descriptor if isinstance(descriptor, int) else str(descriptor)}:
            if not isinstance(value, str):
                raise AmqpError(INVALID_FIELD, f"a selector is a string, not a {type(value).__name__}")
            return value
    return None


def start_of(selector: str | None, log: PartitionLog) -> int:
    """The offset of the first event to deliver; without a selector, the oldest there is.

    Raises AmqpError (invalid field) for what is no position, and com.microsoft:argument-error for one that lies
    beyond the end.
    """
    if selector is None:
        return log.start_offset
    matched = _SELECTOR.fullmatch(selector)
    if not matched:
        raise _invalid(selector)
    name, operator, text = matched.groups()
    inclusive = operator == ">="
    if name == "x-opt-offset" and text == "@latest":
        return max(log.start_offset, log.high_watermark - inclusive)
    if not re.fullmatch(r"-1|[0-9]{1,18}", text, re.ASCII):
        raise _invalid(selector)
    value = int(text)
    if name == "x-opt-enqueued-time":
        return log.offset_at(value, inclusive=inclusive)
    if name not in ("x-opt-offset", "x-opt-sequence-number"):
        raise _invalid(selector)
    first = value if inclusive else value + 1
    if first > log.high_watermark:
        raise AmqpError(
            _ARGUMENT_ERROR,
            f"The supplied position '{text}' is beyond the end: the last sequence number of the partition is "
            f"{log.high_watermark - 1}. Start from @latest, or from a position that was read from this hub.",
        )
    return max(first, log.start_offset)


def _invalid(selector: str) -> AmqpError:
    return AmqpError(
        INVALID_FIELD,
        f"the selector {selector!r} is no position: expected amqp.annotation.x-opt-offset, x-opt-sequence-number or "
        "x-opt-enqueued-time, > or >=, and a number in quotes",
    )
