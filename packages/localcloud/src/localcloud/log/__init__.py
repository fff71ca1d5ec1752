"""The namespace's durable log: Kafka record batches in segment files, one row of files a partition."""

from localcloud.log.errors import AppendFailed, CannotOpen, InvalidBatch, InvalidOffset, LogClosed, LogError, UnknownHub
from localcloud.log.partition import Appended, PartitionLog
from localcloud.log.segment import StoredBatch
from localcloud.log.store import Hub, LogStore

__all__ = [
    "AppendFailed",
    "Appended",
    "CannotOpen",
    "Hub",
    "InvalidBatch",
    "InvalidOffset",
    "LogClosed",
    "LogError",
    "LogStore",
    "PartitionLog",
    "StoredBatch",
    "UnknownHub",
]
