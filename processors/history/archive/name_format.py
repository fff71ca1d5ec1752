"""Names of Capture's files: what a name format says, and which file a name stands for. Pure.

Source: "Capture events through Azure Event Hubs": a format has each of the nine placeholders at least once, in any
order and with any text between them; Capture adds `.avro`. Numbers have leading zeros: four digits of a year, two of
all else; the partition id has none.
"""

import re
from datetime import UTC, datetime
from typing import Self

from msgspec import Struct

DEFAULT_FORMAT = "{Namespace}/{EventHub}/{PartitionId}/{Year}/{Month}/{Day}/{Hour}/{Minute}/{Second}"
SUFFIX = ".avro"

_NUMBERS = {"Year": r"[0-9]{4}", **dict.fromkeys(("Month", "Day", "Hour", "Minute", "Second"), r"[0-9]{2}")}
_PATTERNS = {"Namespace": r"[A-Za-z0-9-]+", "EventHub": r"[A-Za-z0-9._-]+", "PartitionId": r"[0-9]+", **_NUMBERS}
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


class NameFormatError(ValueError):
    """A name format is not one of Capture's; says why."""


class FileName(Struct, frozen=True, order=True):
    """What a file's name says: the moment of its window in UTC, its partition, the namespace as it is written."""

    moment: datetime
    partition: str
    namespace: str


class NameFormat:
    """A name format, for the files of one hub.

    `prefix` begins the names of all its files. Raises NameFormatError.
    """

    def __init__(self, text: str, hub: str) -> None:
        self.text = text
        found = _PLACEHOLDER.findall(text)
        if unknown := [name for name in found if name not in _PATTERNS]:
            raise NameFormatError(f"{{{unknown[0]}}} is no placeholder; there are {_listed(_PATTERNS)}")
        if missing := [name for name in _PATTERNS if name not in found]:
            raise NameFormatError(f"{_listed(missing)} must be in it")
        self._pattern = re.compile(_regular(text, hub) + re.escape(SUFFIX), re.IGNORECASE)
        self.prefix = text.partition("{")[0]

    @classmethod
    def default(cls, hub: str) -> Self:
        """The format of localcloud and of Azure's own suggestion."""
        return cls(DEFAULT_FORMAT, hub)

    def parse(self, path: str) -> FileName | None:
        """What the name says; None for a file that is not one of this hub's archive."""
        match = self._pattern.fullmatch(path)
        if match is None:
            return None
        numbers = (int(match[name]) for name in _NUMBERS)
        try:
            moment = datetime(*numbers, tzinfo=UTC)  # type: ignore[misc, arg-type]
        except ValueError:
            return None
        return FileName(moment, match["PartitionId"], match["Namespace"])

    def path(self, namespace: str, hub: str, partition: str, moment: datetime) -> str:
        """The name of a file."""
        text = self.text
        values = {
            "Namespace": namespace,
            "EventHub": hub,
            "PartitionId": partition,
            "Year": f"{moment.year:04}",
            "Month": f"{moment.month:02}",
            "Day": f"{moment.day:02}",
            "Hour": f"{moment.hour:02}",
            "Minute": f"{moment.minute:02}",
            "Second": f"{moment.second:02}",
        }
        return _PLACEHOLDER.sub(lambda match: values[match[1]], text) + SUFFIX


def _regular(text: str, hub: str) -> str:
    """The format as a regular expression; a placeholder that comes again stands for the same text."""
    parts: list[str] = []
    seen: set[str] = set()
    for place, part in enumerate(_PLACEHOLDER.split(text)):
        if place % 2 == 0:
            parts.append(re.escape(part))
        elif part in seen:
            parts.append(f"(?P={part})")
        else:
            seen.add(part)
            pattern = re.escape(hub) if part == "EventHub" else _PATTERNS[part]
            parts.append(f"(?P<{part}>{pattern})")
    return "".join(parts)


def _listed(names: "list[str] | dict[str, str]") -> str:
    return ", ".join(f"{{{name}}}" for name in names)
