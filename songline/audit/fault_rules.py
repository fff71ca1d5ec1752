"""Faults as rules for localcloud: which requests are struck in a spell. Pure."""

from collections.abc import Iterable
from typing import Any

from songline.audit.plan import FaultKind, PlannedFault

_WRITES = ("create", "upsert", "replace", "patch", "batch")
_AMQP = ("eventhubs", "servicebus")


def rules(fault: PlannedFault) -> list[dict[str, Any]]:
    """The rules of a spell; none for what is done to processes and disks."""
    return [{**rule, "seed": fault.seed + number} for number, rule in enumerate(_rules(fault.kind))]


def _rules(kind: FaultKind) -> Iterable[dict[str, Any]]:
    match kind:
        case "cut":
            yield {"service": "cosmos", "kind": "drop", "probability": 0.1}
            yield {"service": "kafka", "kind": "drop", "probability": 0.05}
            yield from ({"service": one, "operation": "send", "kind": "drop", "probability": 0.2} for one in _AMQP)
            yield from ({"service": one, "operation": "receive", "kind": "drop", "probability": 0.02} for one in _AMQP)
        case "lose":
            for operation in _WRITES:
                yield {"service": "cosmos", "operation": operation, "kind": "lose", "probability": 0.2}
            yield {"service": "kafka", "operation": "Produce", "kind": "lose", "probability": 0.2}
            yield from ({"service": one, "operation": "send", "kind": "lose", "probability": 0.3} for one in _AMQP)
        case "throttle":
            yield {"service": "cosmos", "kind": "throttle", "probability": 0.4, "retry_after_ms": 150}
        case "busy":
            yield from ({"service": one, "operation": "send", "kind": "busy", "probability": 0.5} for one in _AMQP)
            yield from ({"service": one, "operation": "attach", "kind": "busy", "probability": 0.5} for one in _AMQP)
        case "detach":
            for operation in ("send", "receive"):
                yield {"service": "eventhubs", "operation": operation, "kind": "detach", "probability": 0.1}
                yield {"service": "servicebus", "operation": operation, "kind": "detach", "probability": 0.1}
        case "duplicate":
            for operation in ("send", "receive"):
                yield {"service": "eventhubs", "operation": operation, "kind": "duplicate", "probability": 0.3}
                yield {"service": "servicebus", "operation": operation, "kind": "duplicate", "probability": 0.3}
        case "slow-disk":
            for operation in _WRITES:
                yield {"service": "cosmos", "operation": operation, "kind": "delay", "ms": 300}
            yield {"service": "kafka", "operation": "Produce", "kind": "delay", "ms": 300}
            yield from ({"service": one, "operation": "send", "kind": "delay", "ms": 300} for one in _AMQP)
        case "kill" | "stop" | "full-disk":
            return
