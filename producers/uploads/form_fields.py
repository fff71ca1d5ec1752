"""Checks the fields of an upload's form: only known names, each once."""

from collections.abc import Collection, Mapping

from songline.schemas.commands import FIELDS
from songline.schemas.decoding import excerpt
from songline.schemas.errors import ContractViolationError, Violation
from songline.schemas.nearest import nearest

FILE = "file"
KNOWN = ("userId", *FIELDS, FILE)


def check_field(name: str, before: Collection[str]) -> None:
    """Raise ContractViolationError for an unknown field, or for one that is among the fields `before` it."""
    if name not in KNOWN:
        raise ContractViolationError(Violation(excerpt(name), "a field of that name", nearest(name, KNOWN)))
    if name in before:
        raise ContractViolationError(Violation(name, "it twice", "one field of that name"))


def check_beside(parameters: Mapping[str, str]) -> None:
    """Raise ContractViolationError for query parameters beside a form, which has fields for the same values."""
    for name, value in parameters.items():
        rule = "no parameters beside a form: its fields and the name of its file say that"
        raise ContractViolationError(Violation(name, repr(excerpt(value)), rule))
