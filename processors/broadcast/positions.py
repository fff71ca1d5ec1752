"""Where the broadcaster keeps how far it is."""

from songline.cloud.cosmos import Container
from songline.schemas.channels import BROADCAST

CONTAINER = Container(BROADCAST, partition_key="/id", indexed=())
"""Holds the positions, and nothing else."""
