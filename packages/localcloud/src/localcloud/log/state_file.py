"""A small file of JSON that is written whole or not at all, and says by a checksum whether it is what was written.

The checksum is the field `crc32c`, of the JSON of all other fields. A file of an earlier version has none.
"""

import os
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from crc32c import crc32c

from localcloud.log.errors import LogOpenError
from localcloud.log.segment_files import sync_folder
from localcloud.unreadable import UNREADABLE

_FIELD = "crc32c"

_T = TypeVar("_T")


def write_state(path: Path, state: msgspec.Struct) -> None:
    """Put this in place of what the file holds, durably. Raises OSError."""
    fields: dict[str, Any] = msgspec.to_builtins(state)
    content = msgspec.json.format(msgspec.json.encode({**fields, _FIELD: _checksum(fields)}))
    fresh = path.with_name(f"{path.name}-new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def read_state(path: Path, kind: type[_T], mend: str) -> _T:
    """What the file holds. Raises FileNotFoundError, and LogOpenError, which tells to `mend`."""
    try:
        fields = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        expected = fields.pop(_FIELD, None)
        if expected not in (None, _checksum(fields)):
            raise LogOpenError(f"{path} is damaged: it is not what was written. Restore it, or {mend}.")
        return msgspec.convert(fields, kind)
    except FileNotFoundError:
        raise
    except (OSError, *UNREADABLE) as error:
        raise LogOpenError(f"{path} can't be read ({error}). Restore it, or {mend}.") from error


def _checksum(fields: dict[str, Any]) -> int:
    found: int = crc32c(msgspec.json.encode(fields))
    return found
