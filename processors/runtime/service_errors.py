"""The errors of services that workers meet, and what a log line says of an error. No SDK of Kafka is imported."""

from songline.cloud.service_fault import fault_of

_DESCRIPTION = "Description: "
"""What the SDK of Event Hubs puts before the reason, where a token was refused."""


class ItemRefusedError(Exception):
    """A service refuses the item that a record makes, on every try and from every worker."""


def last_line(error: BaseException) -> str:
    """The type of `error` and the line of it that says what happened: the last one, as in a traceback.

    Of a service's answer it is its description where it has one, else the first line, since ids of the request follow.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    line = lines[-1]
    if fault_of(error) is not None or isinstance(error, ItemRefusedError):
        described = (line.removeprefix(_DESCRIPTION) for line in lines if line.startswith(_DESCRIPTION))
        line = next(described, next((line for line in lines if not line.startswith("Status code: ")), lines[0]))
    return f"{type(error).__name__}: {line}".rstrip(": ")
