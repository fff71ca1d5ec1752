"""The versions of trending's state: what is stored and sent by one is ignored by every other.

The state belongs to a version of the charts. Version 1 writes everything as releases without versions did. Of version N
the keys in the changelogs and the names of sealed hours begin with `vN/`, messages say N in front, the consumer group
and the document of positions have a name of their own. So two versions share the hubs, and neither holds or parks what
is the other's.
"""

import re

import msgspec
from msgspec import Struct

from songline.schemas.channels import TRENDING_GROUP
from songline.schemas.progress import PROGRESS
from songline.schemas.projections import FIRST_VERSION

_FOREIGN_KEY = re.compile(rb"v[1-9][0-9]{0,5}/")
_ENVELOPE = re.compile(rb"\x92(?:[\x02-\x7f]|\xcc[\x80-\xff]|\xcd..|\xce....)", re.DOTALL)
"""How a message of a later version begins: an array of two, the first of which is the version. No message of version 1
has two parts."""


class StateVersion(Struct, frozen=True):
    """The version `number` of trending's state."""

    number: int

    @property
    def prefix(self) -> str:
        """How keys and names begin."""
        return "" if self.number == FIRST_VERSION else f"v{self.number}/"

    @property
    def group(self) -> str:
        """The consumer group, whose committed offsets are this version's."""
        return TRENDING_GROUP if self.number == FIRST_VERSION else f"{TRENDING_GROUP}-v{self.number}"

    @property
    def positions(self) -> str:
        """The id of the document, in the container `attempts`, that says how far `music-events` is read."""
        return PROGRESS if self.number == FIRST_VERSION else f"{PROGRESS}-v{self.number}"

    def owns_key(self, key: bytes | None) -> bool:
        """Whether a key of a changelog is of this version. Whatever is of no other version is version 1's."""
        if self.number == FIRST_VERSION:
            return key is None or _FOREIGN_KEY.match(key) is None
        return key is not None and key.startswith(self.prefix.encode())

    def without_prefix(self, key: bytes) -> bytes:
        """A key of this version as its stages know it."""
        return key.removeprefix(self.prefix.encode())

    def with_prefix(self, key: str) -> bytes:
        """A key of the stages as it stands in the changelog."""
        return f"{self.prefix}{key}".encode()

    def wrap(self, body: bytes) -> bytes:
        """A message of this version between the stages."""
        return body if self.number == FIRST_VERSION else self._envelope + body

    def unwrap(self, message: bytes) -> bytes | None:
        """The body of a message, None where that is of another version."""
        if self.number == FIRST_VERSION:
            return None if _ENVELOPE.match(message) else message
        return message.removeprefix(self._envelope) if message.startswith(self._envelope) else None

    @property
    def _envelope(self) -> bytes:
        return b"\x92" + msgspec.msgpack.encode(self.number)


FIRST = StateVersion(FIRST_VERSION)
