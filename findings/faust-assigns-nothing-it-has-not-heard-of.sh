#!/bin/bash
# Faust's assignor passes over a topic of which its own client has no metadata (yet, or since the brokers were away),
# with no more than a warning. Where that member leads the group, the assignment is empty, valid and taken: the app is
# up, owns nothing, and stays so until metadata comes and the group is joined again, minutes later.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check faust-streaming==0.15.3 aiokafka==0.14.0

"$folder/venv/bin/python" - <<'PYTHON'
import logging
from importlib.metadata import version

import faust
from aiokafka.cluster import ClusterMetadata
from aiokafka.protocol.metadata import MetadataResponse_v1

logging.basicConfig(format="  %(levelname)s %(message)s")


def assigned(cluster):
    """What the only member of a group, its leader, gives itself of the topic that it has subscribed to."""
    app = faust.App("charts", broker="kafka://127.0.0.1:9", store="memory://")
    assignor = app.assignor
    answer = assignor.assign(cluster, {"leader": assignor.metadata({"plays"})})["leader"]
    assignor.on_assignment(answer)  # it does not complain
    return answer.assignment


print(f"faust-streaming {version('faust-streaming')}, aiokafka {version('aiokafka')}")
unheard = ClusterMetadata()
print("the client has no metadata of the topic:")
nothing = assigned(unheard)
print(f"  assigned: {nothing}")
heard = ClusterMetadata()
partitions = [(0, number, 0, [0], [0]) for number in range(2)]
heard.update_metadata(MetadataResponse_v1([(0, "127.0.0.1", 9, None)], 0, [(0, "plays", False, partitions)]))
print("it has:")
both = assigned(heard)
print(f"  assigned: {both}")
assert nothing == [], "a topic without metadata is not passed over any more"
assert sorted(both[0][1]) == [0, 1]
PYTHON
