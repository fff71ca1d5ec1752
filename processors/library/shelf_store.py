"""The container of shelves: see `songline.schemas.library.node`."""

from songline.cloud.cosmos import Container
from songline.schemas.channels import LIBRARY_SHELVES

# Nodes are asked for by id within a shelf, which needs no path; every path would cost writes.
CONTAINER = Container(LIBRARY_SHELVES, partition_key="/shelf", indexed=())
