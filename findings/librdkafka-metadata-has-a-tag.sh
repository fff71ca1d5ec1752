#!/bin/bash
# librdkafka asks for the metadata of all topics by a request whose list of topics is four bytes long, where one says
# null. To a reader of the protocol the last four bytes of Metadata v10 are a tagged field of the number 0, of no bytes,
# and one byte too many. KIP-482 wants unknown tagged fields skipped, so that Kafka takes no notice; kio raises KeyError.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check confluent-kafka==2.16.1 kio==0.6.5

"$folder/venv/bin/python" - <<'PYTHON'
import io
import socket
import struct
import threading
from datetime import timedelta
from importlib.metadata import version

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from kio.schema.api_versions.v3 import ApiVersionsResponse
from kio.schema.api_versions.v3.response import ApiVersion
from kio.schema.errors import ErrorCode
from kio.schema.metadata.v10 import MetadataRequest, MetadataResponse
from kio.schema.metadata.v10.response import MetadataResponseBroker
from kio.serial import entity_reader, entity_writer

VERSIONS = {0: 9, 1: 12, 2: 7, 3: 10, 8: 8, 9: 8, 10: 4, 11: 9, 12: 4, 13: 5, 14: 5, 18: 3}
seen = []


def serve(connection):
    """A broker that has Metadata up to version 10, no topics, and no answer to the question for all of them."""
    stream = connection.makefile("rb")
    while head := stream.read(4):
        frame = stream.read(struct.unpack(">i", head)[0])
        key, number, correlation, length = struct.unpack_from(">hhih", frame)
        body = frame[10 + length :]
        if key == 3:
            seen.append((number, body))
            if len(body) == 9:
                connection.close()
                return
            me = MetadataResponseBroker(node_id=0, host="127.0.0.1", port=listener.getsockname()[1])
            response = MetadataResponse(throttle_time=timedelta(), brokers=(me,), cluster_id="c", controller_id=0, topics=())
        else:
            rows = tuple(ApiVersion(api_key=k, min_version=0, max_version=v) for k, v in VERSIONS.items())
            response = ApiVersionsResponse(error_code=ErrorCode.none, api_keys=rows, throttle_time=timedelta())
        out = io.BytesIO()
        entity_writer(type(response))(out, response)
        answer = struct.pack(">i", correlation) + (b"\0" if key == 3 else b"") + out.getvalue()
        connection.sendall(struct.pack(">i", len(answer)) + answer)


def accept():
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=accept, daemon=True).start()
admin = AdminClient({"bootstrap.servers": "127.0.0.1:%d" % listener.getsockname()[1], "log_level": 0})
try:
    admin.list_topics(timeout=5)
except KafkaException:
    pass  # it has no answer
print(f"confluent-kafka {version('confluent-kafka')}, kio {version('kio')}")
number, body = next((number, body) for number, body in seen if len(body) == 9)
print(f"Metadata v{number} for all topics: {body.hex(' ')}")
print("  header's tagged fields, topics (null), three flags, one tagged field: number 0, size 0; and a byte more")
assert (number, body) == (10, bytes.fromhex("00" "00000000" "01000000")), "librdkafka asks in another way now"
try:
    entity_reader(MetadataRequest)(body, 1)
except KeyError as error:
    print(f"kio: KeyError({error})")
else:
    raise SystemExit("kio skips unknown tagged fields now")
PYTHON
