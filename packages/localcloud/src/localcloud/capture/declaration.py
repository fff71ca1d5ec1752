"""What a hub's declaration says of Capture, in the words of Azure Resource Manager's `CaptureDescription`.

Its rules: https://learn.microsoft.com/azure/templates/microsoft.eventhub/namespaces/eventhubs#capturedescription
"""

import re
from typing import Final

import msgspec

from localcloud.capture.name_format import DEFAULT_FORMAT, NameFormatError, check_format
from localcloud.unreadable import UNREADABLE

DEFAULT_INTERVAL_S: Final = 300
DEFAULT_SIZE_LIMIT_BYTES: Final = 314_572_800
MAX_INTERVAL_S: Final = 900
MAX_SIZE_LIMIT_BYTES: Final = 524_288_000
_CONTAINER: Final = re.compile(r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", re.ASCII)
_DESTINATION_NAME: Final = "EventHubArchive.AzureBlockBlob"
_CODECS: Final = {"Avro": "null", "AvroDeflate": "deflate"}
_FIELDS: Final = ("Enabled", "Encoding", "IntervalInSeconds", "SizeLimitInBytes", "SkipEmptyArchives", "Destination")
_DESTINATION_FIELDS: Final = ("BlobContainer", "ArchiveNameFormat", "StorageAccountResourceId")


class CaptureConfig(msgspec.Struct, frozen=True):
    """How a hub is captured. `codec` is Avro's name of it; a window ends by `interval_s` or by `size_limit_bytes`."""

    container: str
    name_format: str = DEFAULT_FORMAT
    interval_s: int = DEFAULT_INTERVAL_S
    size_limit_bytes: int = DEFAULT_SIZE_LIMIT_BYTES
    skip_empty: bool = False
    codec: str = "null"


class CaptureDescriptionError(ValueError):
    """A `CaptureDescription` breaks a rule. The message says which field, its value and the rule."""

    def __init__(self, field: str, value: object, rule: str) -> None:
        super().__init__(f"CaptureDescription: {field} is {_shown(value)}; expected {rule}")
        self.field = field
        self.value = value
        self.rule = rule


def capture_config(encoded: bytes) -> CaptureConfig | None:
    """What the JSON of a `CaptureDescription` declares; None where it is not enabled. Raises CaptureDescriptionError.

    The destination's properties stand in `Destination.Properties`, as in a template, or in `Destination` itself.
    """
    try:
        said = msgspec.json.decode(encoded)
    except UNREADABLE as error:
        raise CaptureDescriptionError("the description", encoded[:100].decode(errors="replace"), str(error)) from None
    said = _object("the description", said, _FIELDS)
    enabled = _boolean(said, "Enabled")
    encoding = said.get("Encoding", "Avro")
    if not isinstance(encoding, str) or encoding not in _CODECS:
        raise CaptureDescriptionError("Encoding", encoding, "Avro or AvroDeflate")
    interval_s = _number(said, "IntervalInSeconds", DEFAULT_INTERVAL_S, MAX_INTERVAL_S, "the service has 60 to 900")
    size_limit_bytes = _number(
        said,
        "SizeLimitInBytes",
        DEFAULT_SIZE_LIMIT_BYTES,
        MAX_SIZE_LIMIT_BYTES,
        "the service has 10485760 to 524288000",
    )
    skip_empty = _boolean(said, "SkipEmptyArchives")
    container, name_format = _destination(said.get("Destination"))
    if not enabled:
        return None
    return CaptureConfig(container, name_format, interval_s, size_limit_bytes, skip_empty, _CODECS[encoding])


def _destination(said: object) -> tuple[str, str]:
    """The container, and the format of names."""
    destination = _object("Destination", said, ("Name", "Properties", *_DESTINATION_FIELDS))
    name = destination.get("Name", _DESTINATION_NAME)
    if name != _DESTINATION_NAME:
        raise CaptureDescriptionError("Destination.Name", name, f"{_DESTINATION_NAME}, Blob Storage is all there is")
    where = "Destination"
    if "Properties" in destination:
        where = "Destination.Properties"
        destination = _object(where, destination["Properties"], _DESTINATION_FIELDS)
    container = destination.get("BlobContainer")
    if not isinstance(container, str) or not _CONTAINER.fullmatch(container):
        rule = "the name of a container: 3 to 63 of a-z, 0-9 and single -, neither first nor last"
        raise CaptureDescriptionError(f"{where}.BlobContainer", container, rule)
    name_format = destination.get("ArchiveNameFormat", DEFAULT_FORMAT)
    try:
        return container, check_format(name_format)
    except NameFormatError as error:
        raise CaptureDescriptionError(f"{where}.ArchiveNameFormat", name_format, str(error)) from None


def _object(field: str, said: object, known: tuple[str, ...]) -> dict[str, object]:
    if not isinstance(said, dict):
        raise CaptureDescriptionError(field, said, f"an object with some of {', '.join(known)}")
    for name in said:
        if name not in known:
            raise CaptureDescriptionError(f"{field}, field {name}", said[name], f"some of {', '.join(known)}")
    return said


def _boolean(said: dict[str, object], field: str) -> bool:
    value = said.get(field, False)
    if not isinstance(value, bool):
        raise CaptureDescriptionError(field, value, "true or false")
    return value


def _number(said: dict[str, object], field: str, default: int, most: int, service: str) -> int:
    value = said.get(field, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise CaptureDescriptionError(field, value, f"1 to {most} ({service})")
    return value


def _shown(value: object) -> str:
    return "missing" if value is None else msgspec.json.encode(value).decode()[:100]
