"""Faults on demand: which rule strikes a request. What the rule says is done by the service that has asked."""

import random
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from localcloud.unreadable import UNREADABLE

Milliseconds = Annotated[int, Meta(ge=0, le=600_000)]
Condition = Annotated[str, Meta(pattern=r"^[a-z.:-]+\Z")]
SERVER_BUSY: Final = "com.microsoft:server-busy"
DETACH_FORCED: Final = "amqp:link:detach-forced"


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """A rule: which requests are struck, and, by its class, what becomes of them.

    `operation` and `entity` are patterns (`*`, `?`, `[…]`). The first `after` requests that match are spared, then
    each is struck with `probability` (by a generator of its own, that starts from `seed`), until `count` were.
    """

    service: Literal["cosmos", "eventhubs", "kafka", "servicebus"]
    operation: str = "*"
    entity: str = "*"
    after: Annotated[int, Meta(ge=0)] = 0
    count: Annotated[int, Meta(ge=1)] | None = None
    probability: Annotated[float, Meta(gt=0, le=1)] = 1.0
    seed: int = 0


class ThrottleFault(Fault, frozen=True, kw_only=True, tag="throttle"):
    """Refused with 429: the client may come back after `retry_after_ms`."""

    retry_after_ms: Milliseconds = 100


class BusyFault(Fault, frozen=True, kw_only=True, tag="busy"):
    """Refused with an AMQP condition."""

    condition: Condition = SERVER_BUSY


class DetachFault(Fault, frozen=True, kw_only=True, tag="detach"):
    """The link ends with an AMQP condition; the message goes nowhere."""

    condition: Condition = DETACH_FORCED


class DelayFault(Fault, frozen=True, kw_only=True, tag="delay"):
    """Done so many milliseconds later; what comes after it on the same link or connection waits too."""

    ms: Milliseconds


class DropFault(Fault, frozen=True, kw_only=True, tag="drop"):
    """The connection is cut, nothing is done."""


class LoseFault(Fault, frozen=True, kw_only=True, tag="lose"):
    """Done, but instead of hearing so the client has its connection cut."""


class DuplicateFault(Fault, frozen=True, kw_only=True, tag="duplicate"):
    """Comes twice: what is sent is taken twice, what is received is given again."""


_Kinds = frozenset[type[Fault]]
FaultRule = ThrottleFault | BusyFault | DetachFault | DelayFault | DropFault | LoseFault | DuplicateFault

_HTTP: _Kinds = frozenset({ThrottleFault, DelayFault, DropFault, LoseFault})
_AMQP: dict[str, _Kinds] = {
    "attach": frozenset({BusyFault, DelayFault, DropFault}),
    "send": frozenset({BusyFault, DetachFault, DelayFault, DropFault, LoseFault, DuplicateFault}),
    "receive": frozenset({DetachFault, DelayFault, DropFault, DuplicateFault}),
    "request": frozenset({DelayFault, DropFault}),
}
_KAFKA: _Kinds = frozenset({DelayFault, DropFault, LoseFault})

# What can be struck, and by what.
OPERATIONS: Final[dict[str, dict[str, _Kinds]]] = {
    "cosmos": dict.fromkeys(
        (
            "create",
            "upsert",
            "replace",
            "patch",
            "delete",
            "read",
            "query",
            "plan",
            "batch",
            "feed",
            "changes",
            "metadata",
        ),
        _HTTP,
    ),
    "eventhubs": _AMQP,
    "servicebus": _AMQP,
    "kafka": dict.fromkeys(
        "Produce Fetch ListOffsets Metadata OffsetCommit OffsetFetch FindCoordinator JoinGroup Heartbeat LeaveGroup "
        "SyncGroup DescribeGroups ListGroups CreateTopics DeleteTopics CreatePartitions InitProducerId "
        "OffsetForLeaderEpoch DescribeConfigs DeleteGroups DescribeCluster".split(),
        _KAFKA,
    ),
}

_PATH = re.compile(r" - at `\$(.*)`$")


class FaultRulesError(ValueError):
    """The author of the rules must mend them: `field` has `value`, which breaks `rule`."""

    def __init__(self, field: str, value: object, rule: str) -> None:
        super().__init__(f"{field} is {value!r}: {rule}")
        self.field = field
        self.value = value
        self.rule = rule


def parse_rules(data: bytes) -> list[FaultRule]:
    """Read a JSON list of rules. Raises FaultRulesError."""
    try:
        plain: object = msgspec.json.decode(data)
    except UNREADABLE as error:
        raise FaultRulesError("the body", data.decode("utf-8", "replace")[:100], f"expected JSON; {error}") from None
    try:
        rules = msgspec.convert(plain, list[FaultRule])
    except msgspec.ValidationError as error:
        rule = str(error)
        path = match[1] if (match := _PATH.search(rule)) else ""
        raise FaultRulesError(path or "the body", _value_at(plain, path), _PATH.sub("", rule)) from None
    for number, each in enumerate(rules):
        _check(number, each)
    return rules


def _check(number: int, rule: FaultRule) -> None:
    """A rule that can strike nothing is a mistake, and a test that relies on it would test nothing."""
    operations = OPERATIONS[rule.service]
    named = [name for name in operations if fnmatchcase(name, rule.operation)]
    if not named:
        expected = f"expected a pattern for one of {', '.join(operations)}"
        raise FaultRulesError(f"[{number}].operation", rule.operation, expected)
    if not any(type(rule) in operations[name] for name in named):
        able = sorted({str(kind.__struct_config__.tag) for name in named for kind in operations[name]})
        raise FaultRulesError(
            f"[{number}].kind",
            rule.__struct_config__.tag,
            f"expected one of {', '.join(able)} for {rule.service} {rule.operation}",
        )


def _value_at(plain: object, path: str) -> object:
    for step in re.findall(r"\[(\d+)\]|\.(\w+)", path):
        index, name = step
        if isinstance(plain, list) and index:
            plain = plain[int(index)]
        elif isinstance(plain, dict):
            plain = plain.get(name)
    return plain


class _ArmedFault:
    """A rule at work: how many requests it matched, and how many it struck."""

    def __init__(self, rule: FaultRule) -> None:
        self.rule = rule
        self.matched = 0
        self.fired = 0
        self._random = random.Random(rule.seed)  # noqa: S311 - faults that a seed repeats

    def strikes(self, service: str, operation: str, entities: Sequence[str]) -> bool:
        rule = self.rule
        if (
            rule.service != service
            or type(rule) not in OPERATIONS[service].get(operation, ())
            or not fnmatchcase(operation, rule.operation)
            or not any(fnmatchcase(entity, rule.entity) for entity in entities)
        ):
            return False
        self.matched += 1
        if self.matched <= rule.after or (rule.count is not None and self.fired >= rule.count):
            return False
        if rule.probability < 1 and self._random.random() >= rule.probability:
            return False
        self.fired += 1
        return True


class Faults:
    """The rules in force. The first one that strikes a request is the only one."""

    def __init__(self, rules: Sequence[FaultRule] = ()) -> None:
        self.put(rules)

    def put(self, rules: Sequence[FaultRule]) -> None:
        """In place of those before, with counts from zero."""
        self._armed = [_ArmedFault(rule) for rule in rules]

    def next(self, service: str, operation: str, *entities: str) -> FaultRule | None:
        """The rule that strikes this request, if one does. Of several `entities` one has to match."""
        if not self._armed:
            return None
        return next((armed.rule for armed in self._armed if armed.strikes(service, operation, entities)), None)

    def report(self) -> list[dict[str, object]]:
        """The rules as they were given, with how many requests they `matched`, and how many they struck (`fired`)."""
        return [
            {**msgspec.to_builtins(armed.rule), "matched": armed.matched, "fired": armed.fired} for armed in self._armed
        ]
