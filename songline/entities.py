"""What the system needs to find in Cosmos DB; hubs are declared in `infra/emulators/eventhubs/Config.json`."""

from cloud.cosmos import Container
from processors.catalog import documents as catalog
from processors.ingestion import documents as ingestion
from processors.library import documents as library
from schemas.channels import CHARTS
from songline import audit

CONTAINERS = (
    Container(CHARTS, partition_key="/chart", indexed=("/asOf/?",)),
    catalog.CONTAINER,
    library.CONTAINER,
    ingestion.CONTAINER,
    audit.CONTAINER,
)
