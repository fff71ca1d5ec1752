"""All settings that are wrong, named together: an operator mends them in one go."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from songline.cloud.settings import (
    BLOB_CONNECTION,
    BLOB_ENDPOINT,
    COSMOS_CONNECTION,
    COSMOS_ENDPOINT,
    EVENTGRID_ENDPOINT,
    EVENTHUB_CONNECTION,
    EVENTHUB_NAMESPACE,
    SERVICEBUS_CONNECTION,
    SERVICEBUS_NAMESPACE,
    SettingError,
)

T = TypeVar("T")

_NAMESPACE = "Endpoint=sb://stand-in.invalid/;SharedAccessKeyName=none;SharedAccessKey=none"
STAND_INS: Mapping[str, str] = {
    EVENTHUB_CONNECTION: _NAMESPACE,
    EVENTHUB_NAMESPACE: "stand-in.invalid",
    SERVICEBUS_CONNECTION: _NAMESPACE,
    SERVICEBUS_NAMESPACE: "stand-in.invalid",
    COSMOS_CONNECTION: "AccountEndpoint=https://stand-in.invalid/;AccountKey=none",
    COSMOS_ENDPOINT: "https://stand-in.invalid/",
    BLOB_CONNECTION: "AccountName=none;AccountKey=none",
    BLOB_ENDPOINT: "https://stand-in.invalid/",
    EVENTGRID_ENDPOINT: "https://stand-in.invalid/",
}
"""What is read in place of a setting that is needed and wrong, to find those behind it. Nothing is opened with it."""


PAGE = "docs/operations.md#settings"


class WrongSettingsError(SettingError):
    """Several settings are missing or wrong. The message has a line for each."""

    def __init__(self, errors: Sequence[SettingError]) -> None:
        lines = "\n".join(f"  {error}" for error in errors)
        Exception.__init__(self, f"{len(errors)} settings are missing or wrong; {PAGE} says what each is for:\n{lines}")
        self.name = errors[0].name
        self.errors = tuple(errors)


def read_settings(
    read: Callable[[Mapping[str, str]], T], environ: Mapping[str, str], stand_ins: Mapping[str, str] = STAND_INS
) -> T:
    """What `read` makes of `environ`.

    Raises SettingError where one setting is missing or wrong, and WrongSettingsError, which names all of them, where
    several are. To find the next one, a wrong one is left out, or replaced by its stand-in.
    """
    tried = dict(environ)
    errors: dict[str, SettingError] = {}
    while True:
        try:
            found = read(tried)
        except SettingError as error:
            if error.name in errors:
                # What stands for it does not do either: nothing behind it can be read.
                break
            errors[error.name] = error
            tried.pop(error.name, None)
            if error.name in stand_ins:
                tried[error.name] = stand_ins[error.name]
            continue
        if not errors:
            return found
        break
    if len(errors) == 1:
        raise next(iter(errors.values())) from None
    raise WrongSettingsError(tuple(errors.values())) from None
