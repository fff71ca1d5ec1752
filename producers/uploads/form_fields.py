"""The fields of an upload's form: each is known, and there once."""

from collections.abc import Collection, Mapping

from songline.schemas.commands import Metadata
from songline.schemas.decoding import excerpt
from songline.schemas.errors import ContractViolationError, Violation
from songline.schemas.nearest import nearest

FILE = "file"
KNOWN = ("userId", *Metadata.__struct_fields__, FILE)


def check_field(name: str, before: Collection[str]) -> None:
    """Raises ContractViolationError for a field that nobody knows, or that is among those `before` it."""
    if name not in KNOWN:
        raise ContractViolationError(Violation(excerpt(name), "a field of that name", nearest(name, KNOWN)))
    if name in before:
        raise ContractViolationError(Violation(name, "it twice", "one field of that name"))


def check_beside(parameters: Mapping[str, str]) -> None:
    """Raises ContractViolationError for query parameters beside a form, whose fields and file say the same."""
    for name, value in parameters.items():
        rule = "no parameters beside a form: its fields and the name of its file say that"
        raise ContractViolationError(Violation(name, repr(excerpt(value)), rule))
