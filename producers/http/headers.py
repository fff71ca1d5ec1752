"""Headers that say one thing: a proxy and we must not read two different ones."""

from starlette.datastructures import Headers

from songline.schemas.decoding import excerpt
from songline.schemas.errors import ContractViolationError, Violation


def only(headers: Headers, name: str) -> str | None:
    """The value of the header `name`, None where it is not there.

    Raises ContractViolationError where the header has different values.
    """
    values = list(dict.fromkeys(headers.getlist(name)))
    if len(values) > 1:
        raise ContractViolationError(
            Violation(name, excerpt(" and ".join(map(repr, values))), "one value of this header")
        )
    return values[0] if values else None
