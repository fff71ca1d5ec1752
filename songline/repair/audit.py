"""The audit log: an entry in Cosmos DB for each change by hand, which is never changed afterwards."""

import msgspec
from azure.cosmos.aio import ContainerProxy
from msgspec import Struct

from songline.cloud.cosmos import Container
from songline.schemas.channels import AUDIT
from songline.schemas.types import Moment

CONTAINER = Container(AUDIT, partition_key="/subject", indexed=("/at/?",))

_LINES = "SELECT * FROM c WHERE c.subject = @subject ORDER BY c.at"


class AuditEntry(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An action that a person is about to take.

    `by` takes `action` on the message with the sequence number `number` of the queue `subject`, or on the record with
    the position `number` if `subject` is `parked`. The entry is written before the action. So every action has an
    entry, and an entry may belong to an action that failed or was repeated.
    """

    id: str
    subject: str
    at: Moment
    by: str
    action: str
    number: int
    message_id: str | None = None
    command_id: str | None = None
    died_of: str | None = None
    new_message_id: str | None = None
    parked_id: str | None = None
    readers: tuple[str, ...] = ()
    note: str | None = None


class AuditLog:
    """Writes and reads the container `audit`. Methods raise AzureError (of azure.core)."""

    def __init__(self, container: ContainerProxy) -> None:
        self._container = container

    async def write(self, line: AuditEntry) -> None:
        """Write the entry; it is durable when this returns."""
        await self._container.create_item(msgspec.to_builtins(line))

    async def read(self, subject: str) -> list[AuditEntry]:
        """The entries of `subject`, oldest first."""
        found = self._container.query_items(
            _LINES, parameters=[{"name": "@subject", "value": subject}], partition_key=subject
        )
        return [msgspec.convert(dict(item), AuditEntry) async for item in found]
