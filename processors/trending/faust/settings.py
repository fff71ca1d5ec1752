"""Faust's settings for Event Hubs."""

from typing import Any

from songline.cloud import kafka
from songline.cloud.settings import CloudSettings
from songline.processors.trending.config import TrendingConfig
from songline.processors.trending.faust import credentials
from songline.processors.trending.faust.table_manager import PromptTableManager

BUFFERED_BATCHES = 2
"""Batches that wait in a stream: each is a whole fetch of a partition."""

MAX_FETCH_BYTES = 1_048_576
"""No event is larger, and more would lie in memory for nothing: folding takes longer than fetching."""

LARGE_FETCH_BYTES = MAX_FETCH_BYTES // 2
"""Of a partition that is behind, a fetch brings so much or more. Of those that are read to their end, what is gathered
has less, and is taken of all of them at once: they are asked for again together."""

PIECES_FETCH_BYTES = 25_165_824
"""While partitions are folded in pieces, each of which is written before the next one, so much is fetched of all of
these together: a piece is never larger than a fetch."""

BACKLOG_FETCH_BYTES = 16_777_216
"""While a short backlog is read, so much is fetched of all partitions together: each round takes its turns of the hub,
of the consumer's thread and of the folds, whatever it brings."""

MAX_BATCH_BYTES = 900_000


def fetch_bytes(in_pieces: int, at_once: int = 0) -> int:
    """How much one fetch may bring of a partition while so many of them are folded in pieces, or, if none is, so many
    are read `at_once`, since little is left of each."""
    if in_pieces:
        return max(MAX_FETCH_BYTES, PIECES_FETCH_BYTES // in_pieces)
    return max(MAX_FETCH_BYTES, BACKLOG_FETCH_BYTES // at_once) if at_once else MAX_FETCH_BYTES


def faust_settings(settings: CloudSettings, config: TrendingConfig) -> dict[str, Any]:
    """The keyword arguments of a Faust app: it creates no hub by itself, and no connection idles for too long."""
    return {
        "broker": f"kafka://{settings.eventhubs.kafka}",
        "broker_credentials": credentials.broker(settings.eventhubs),
        "store": "memory://",
        "TableManager": PromptTableManager,
        "autodiscover": False,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "web_enabled": False,
        "processing_guarantee": "at_least_once",
        "broker_commit_interval": 1.0,
        "broker_session_timeout": config.session_ms / 1_000,
        "broker_heartbeat_interval": min(kafka.HEARTBEAT_INTERVAL_MS, config.session_ms / 3) / 1_000,
        "broker_request_timeout": max(kafka.REQUEST_TIMEOUT_MS, config.session_ms) / 1_000,
        "consumer_auto_offset_reset": "earliest",
        "consumer_connections_max_idle_ms": kafka.CONNECTIONS_MAX_IDLE_MS,
        "consumer_metadata_max_age_ms": kafka.METADATA_MAX_AGE_MS,
        "consumer_max_fetch_size": MAX_FETCH_BYTES,
        "producer_acks": -1,
        "producer_connections_max_idle_ms": kafka.CONNECTIONS_MAX_IDLE_MS,
        "producer_metadata_max_age_ms": kafka.METADATA_MAX_AGE_MS,
        # Partials and chunks have hundreds of kilobytes; with one a request, each would wait for the log once.
        "producer_max_batch_size": MAX_BATCH_BYTES,
        "producer_max_request_size": kafka.MAX_REQUEST_SIZE,
        "producer_request_timeout": kafka.REQUEST_TIMEOUT_MS / 1_000,
        # A batch is acknowledged by the flush that follows it; what is not acknowledged is read again.
        "stream_wait_empty": False,
        "stream_buffer_maxsize": BUFFERED_BATCHES,
    }
