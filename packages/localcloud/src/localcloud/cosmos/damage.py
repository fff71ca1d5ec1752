"""Damage that is found while items are read: it is named, and nothing of it is answered."""

import logging

from crc32c import crc32c

from localcloud.cosmos.errors import CosmosError
from localcloud.cosmos.storage import SqliteSession

logger = logging.getLogger(__name__)


class DamagedItemError(CosmosError):
    """The bytes of an item are not those that were written."""


def checked_body(session: SqliteSession, id_: str, body: bytes, crc: int | None) -> bytes:
    """`body`, where `crc` is its checksum or, of an item of an earlier version, None. Raises DamagedItemError."""
    if crc is None or crc32c(body) == crc:
        return body
    fault = f"{session.path} is damaged: the item {id_!r} is not what was written"
    logger.error("%s", fault)
    raise DamagedItemError(f"{fault}. Write the item anew, or restore the file.")
