"""The namespace's durable log: Kafka record batches in segment files, one row of files a partition."""

from localcloud.log.errors import (
    AppendError,
    InvalidBatchError,
    InvalidOffsetError,
    LogClosedError,
    LogError,
    LogOpenError,
    UnknownHubError,
)
from localcloud.log.partition import AppendedBatch, PartitionLog
from localcloud.log.segment import StoredBatch
from localcloud.log.store import Hub, LogStore

__all__ = [
    "AppendError",
    "AppendedBatch",
    "Hub",
    "InvalidBatchError",
    "InvalidOffsetError",
    "LogClosedError",
    "LogError",
    "LogOpenError",
    "LogStore",
    "PartitionLog",
    "StoredBatch",
    "UnknownHubError",
]
