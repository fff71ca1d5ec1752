"""Names of Capture's files: `ArchiveNameFormat` with the namespace, the hub, the partition and the window's start."""

import re
from datetime import UTC, datetime
from typing import Final

DEFAULT_FORMAT: Final = "{Namespace}/{EventHub}/{PartitionId}/{Year}/{Month}/{Day}/{Hour}/{Minute}/{Second}"
SUFFIX: Final = ".avro"
_PARAMETERS: Final = ("Namespace", "EventHub", "PartitionId", "Year", "Month", "Day", "Hour", "Minute", "Second")
_PARAMETER: Final = re.compile(r"\{([^{}]*)\}")
_MAX_FORMAT_CHARACTERS: Final = 500


class NameFormatError(ValueError):
    """A format that makes no names of blobs, or the same name twice. The message is the rule."""


def check_format(name_format: object) -> str:
    """The format itself, where each parameter is in it, in any order, and nothing else in braces.

    Raises NameFormatError.
    """
    wanted = " ".join(f"{{{name}}}" for name in _PARAMETERS)
    if not isinstance(name_format, str) or len(name_format) > _MAX_FORMAT_CHARACTERS:
        raise NameFormatError(f"a text of up to {_MAX_FORMAT_CHARACTERS} characters with {wanted}")
    found = _PARAMETER.findall(name_format)
    if set(found) != set(_PARAMETERS) or re.search(r"[{}]", _PARAMETER.sub("", name_format)):
        raise NameFormatError(f"all of {wanted}, in any order, and no other braces")
    if name_format.startswith("/") or "//" in name_format or "\\" in name_format or not name_format.isprintable():
        raise NameFormatError("no / at the beginning, no //, no \\ and nothing unprintable")
    return name_format


def file_name(name_format: str, namespace: str, hub: str, partition: int, start_s: int) -> str:
    """The blob of the window that starts at `start_s` (Unix seconds); numbers of the time are padded with zeros."""
    moment = datetime.fromtimestamp(start_s, UTC)
    values = {
        "Namespace": namespace,
        "EventHub": hub,
        "PartitionId": str(partition),
        "Year": f"{moment.year:04}",
        "Month": f"{moment.month:02}",
        "Day": f"{moment.day:02}",
        "Hour": f"{moment.hour:02}",
        "Minute": f"{moment.minute:02}",
        "Second": f"{moment.second:02}",
    }
    return _PARAMETER.sub(lambda found: values[found[1]], name_format) + SUFFIX
