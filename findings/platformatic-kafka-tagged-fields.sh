#!/usr/bin/env bash
# @platformatic/kafka takes the number of tagged fields of a structure (KIP-482) for their length in bytes, and skips so
# many. A Fetch response in which one partition has an optional field, here the diverging epoch of KIP-595, is then read
# askew: the partition behind it has numbers that nobody sent, or the response ends too early. Nothing says so otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check kio==0.6.5
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts @platformatic/kafka@1.35.0

cat > response.py <<'PY'
import io
import uuid
from datetime import timedelta

from kio.schema.errors import ErrorCode
from kio.schema.fetch.v13.response import EpochEndOffset, FetchableTopicResponse, FetchResponse, PartitionData
from kio.serial import entity_reader, entity_writer


def partition(index, **optional):
    return PartitionData(
        partition_index=index, error_code=ErrorCode.none, high_watermark=7, last_stable_offset=7, log_start_offset=0,
        aborted_transactions=None, records=None, **optional,
    )


for optional in ({}, {"diverging_epoch": EpochEndOffset(epoch=1, end_offset=5)}):
    partitions = (partition(0, **optional), partition(1))
    topic = FetchableTopicResponse(topic_id=uuid.UUID(int=1), partitions=partitions)
    response = FetchResponse(throttle_time=timedelta(), error_code=ErrorCode.none, responses=(topic,))
    out = io.BytesIO()
    entity_writer(FetchResponse)(out, response)
    again, size = entity_reader(FetchResponse)(out.getvalue(), 0)
    assert again == response and size == len(out.getvalue())
    print(out.getvalue().hex())
PY
venv/bin/python response.py > responses.txt

cat > read.mjs <<'JS'
import { readFileSync } from "node:fs";
import { fetchV13, Reader } from "@platformatic/kafka";
const outcome = (hex) => {
  const reader = Reader.from(Buffer.from(hex, "hex"));
  try {
    const [topic] = fetchV13.parseResponse(0, 1, 13, reader).responses;
    return topic.partitions.map((each) => `partition ${each.partitionIndex} up to ${each.highWatermark}`).join(", ");
  } catch (error) {
    return `${error.name}: ${error.message}`;
  }
};
const [plain, tagged] = readFileSync("responses.txt", "utf8").trim().split("\n").map(outcome);
console.log("@platformatic/kafka 1.35.0, Fetch v13 with two partitions, both with a high watermark of 7");
console.log(`without a tagged field: ${plain}`);
console.log(`with one of partition 0: ${tagged}`);
const right = "partition 0 up to 7, partition 1 up to 7";
const seen = plain === right && tagged !== right;
console.log(seen ? "seen" : "CHANGED");
process.exit(seen ? 0 : 1);
JS
node read.mjs
