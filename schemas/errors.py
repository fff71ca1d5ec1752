"""What is wrong with an item: the sender must change it, or it is parked."""

from msgspec import Struct


class Violation(Struct, frozen=True):
    """One broken rule: the field (dotted path), the value that was seen (as JSON, cut to 100 characters), the rule."""

    field: str
    value: str
    rule: str

    def __str__(self) -> str:
        return f"{self.field}: saw {self.value}, expected {self.rule}"


class ContractViolationError(Exception):
    """The item breaks its contract. The sender must change it; sending it again is of no use."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(str(violation))
        self.violation = violation


class PoisonError(Exception):
    """Bytes in a hub that this version can't understand. They are parked with `reason` and `detail`.

    `reason` is one of `not-an-event`, `unknown-type`, `unknown-version`, `broken-contract`; where something else than
    an event was expected it says that instead of an event.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
