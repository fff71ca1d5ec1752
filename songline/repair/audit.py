"""Who interfered, with what, when and why: a line in Cosmos DB for each change by hand, never changed afterwards."""

import msgspec
from azure.cosmos.aio import ContainerProxy
from msgspec import Struct

from songline.cloud.cosmos import Container
from songline.schemas.channels import AUDIT
from songline.schemas.types import Moment

CONTAINER = Container(AUDIT, partition_key="/subject", indexed=("/at/?",))

_LINES = "SELECT * FROM c WHERE c.subject = @subject ORDER BY c.at"


class AuditEntry(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`by` is about to do `action` to the message `number` of the queue `subject`, or to a record of `parked`, whose
    position is `number`. The line comes before the deed: one whose deed failed, or was done again, is there too, and no
    deed is without one."""

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
    """The container `audit`, in which lines are made and read. Methods raise AzureError (of azure.core)."""

    def __init__(self, container: ContainerProxy) -> None:
        self._container = container

    async def write(self, line: AuditEntry) -> None:
        """There for good when this returns."""
        await self._container.create_item(msgspec.to_builtins(line))

    async def read(self, subject: str) -> list[AuditEntry]:
        """Oldest first."""
        found = self._container.query_items(
            _LINES, parameters=[{"name": "@subject", "value": subject}], partition_key=subject
        )
        return [msgspec.convert(dict(item), AuditEntry) async for item in found]
