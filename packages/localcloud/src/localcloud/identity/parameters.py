"""Parameters of requests, in queries and forms."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from localcloud.identity.errors import OAuthError, seen

MAX_BODY_BYTES = 64 * 1024
MAX_FIELDS = 100

Parameters = Mapping[str, str]


def read_parameters(text: str) -> Parameters:
    """The parameters of `text`, application/x-www-form-urlencoded; one without a value counts as not there.

    Raises OAuthError, `invalid_request`: a parameter may stand there once (RFC 6749, section 3.1).
    """
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        raise OAuthError(
            "invalid_request", f"expected at most {MAX_FIELDS} parameters, percent-encoded as UTF-8"
        ) from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise OAuthError("invalid_request", f"the parameter {seen(name)} is there twice; expected it once")
        found[name] = value
    return {name: value for name, value in found.items() if value}


def required(parameters: Parameters, name: str) -> str:
    """The parameter's value; raises OAuthError, `invalid_request`, where it is missing."""
    try:
        return parameters[name]
    except KeyError:
        raise OAuthError("invalid_request", f"there is no {name}; expected one") from None


def asked_scopes(parameters: Parameters, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """The scopes that are asked for, each once; all that are `allowed` where none is named. Raises OAuthError,
    `invalid_scope`."""
    text = parameters.get("scope")
    if text is None:
        return allowed
    wanted = tuple(dict.fromkeys(text.split(" ")))
    for scope in wanted:
        if scope not in allowed:
            raise OAuthError("invalid_scope", f"scope: saw {seen(scope)}, expected some of {' '.join(allowed)}")
    return wanted
