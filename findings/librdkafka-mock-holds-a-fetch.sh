#!/bin/bash
# librdkafka has a broker to test with (`test.mock.num.brokers`). A broker answers a fetch that waits for
# `fetch.min.bytes` as soon as they are there. This one looks once, and again when `fetch.wait.max.ms` is over: an event
# that comes in between is seen up to that much later. A test of latency over it measures the wait.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check confluent-kafka==2.16.1

"$folder/venv/bin/python" - <<'PYTHON'
import time

from confluent_kafka import Consumer, Producer, TopicPartition, libversion, version

TOPIC = "events"
producer = Producer({"test.mock.num.brokers": 1, "log_level": 0})
broker = next(iter(producer.list_topics(timeout=10).brokers.values()))


def send():
    producer.produce(TOPIC, b"event", partition=0)
    assert producer.flush(10) == 0


def seconds_until_seen(wait_ms):
    """How long three events took, each of which came 0.3 s after the one before was read."""
    settings = {"fetch.min.bytes": 1, "fetch.wait.max.ms": wait_ms}
    consumer = Consumer({"bootstrap.servers": f"{broker.host}:{broker.port}", "group.id": "readers", **settings})
    send()
    end = consumer.get_watermark_offsets(TopicPartition(TOPIC, 0), timeout=10)[1]
    consumer.assign([TopicPartition(TOPIC, 0, end - 1)])
    assert consumer.poll(20).offset() == end - 1
    taken = []
    for _ in range(3):
        time.sleep(0.3)
        begun = time.monotonic()
        send()
        assert consumer.poll(20).error() is None
        taken.append(time.monotonic() - begun)
    consumer.close()
    return taken


print(f"confluent-kafka {version()}, librdkafka {libversion()[0]}, fetch.min.bytes=1")
for wait_ms in (2_000, 4_000):
    taken = seconds_until_seen(wait_ms)
    print(f"fetch.wait.max.ms={wait_ms}: an event is seen after {', '.join(f'{one:.1f}' for one in taken)} s")
    assert min(taken) > wait_ms / 1_000 - 1, "the mock broker answers as soon as there is something now"
PYTHON
