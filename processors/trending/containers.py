"""The containers that trending writes: charts, and songs' days."""

from datetime import timedelta

from songline.cloud.cosmos import Container
from songline.schemas.channels import CHARTS, PLAYS

CHARTS_CONTAINER = Container(CHARTS, partition_key="/chart", indexed=("/asOf/?",))

# A song's days are read by id, and kept for 90 days after their last change. Without a path, all would be indexed.
PLAYS_CONTAINER = Container(
    PLAYS, partition_key="/songId", indexed=("/songId/?",), ttl=round(timedelta(days=90).total_seconds())
)
