"""What Capture wrote, as a reader of its files finds it: listed by name, read by fastavro."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
from azure.storage.blob import ContainerClient

from localcloud.testing import LocalCloud
from localcloud.testing.waiting import wait_for

CONTAINER = "archive"


def description(**changes: object) -> dict[str, object]:
    """A hub's properties with Capture into `archive`, a window a second."""
    capture: dict[str, object] = {
        "Enabled": True,
        "Encoding": "Avro",
        "IntervalInSeconds": 1,
        "SkipEmptyArchives": True,
        "Destination": {"BlobContainer": CONTAINER},
    }
    return {"CaptureDescription": {**capture, **changes}}


def declared(path: Path, properties: dict[str, object]) -> Path:
    """A declaration of one hub, `events`, of one partition."""
    entity = {"Name": "events", "PartitionCount": 1, "Properties": properties}
    path.write_text(json.dumps({"UserConfig": {"NamespaceConfig": [{"Entities": [entity]}]}}))
    return path


class CapturedFile(NamedTuple):
    name: str
    data: bytes
    events: list[dict[str, Any]]


def rows(data: bytes) -> list[dict[str, Any]]:
    """The records of a file."""
    return list(fastavro.reader(BytesIO(data)))


def read_files(cloud: LocalCloud, hub: str, container: str = CONTAINER) -> list[CapturedFile]:
    """The files of a hub, by name. None where there is no container yet."""
    client = ContainerClient.from_connection_string(cloud.blob_connection_string, container)
    with client:
        if not client.exists():
            return []
        names = sorted(blob.name for blob in client.list_blobs())
        files = []
        for name in names:
            if f"/{hub}/" in name:
                data = client.download_blob(name).readall()
                files.append(CapturedFile(name, data, rows(data)))
        return files


def partition_of(file: CapturedFile) -> int:
    return int(file.name.split("/")[2])


def captured(cloud: LocalCloud, hub: str) -> bool:
    """Whether all that the hub has is in files."""
    return all(one["captured"] == one["end"] for one in cloud.control("GET", f"/hubs/{hub}")["partitions"])


def captured_events(cloud: LocalCloud, hub: str) -> dict[int, list[dict[str, Any]]]:
    """Each partition's events in the order of files, once all are captured."""
    wait_for(lambda: captured(cloud, hub), f"{hub} to be captured")
    events: dict[int, list[dict[str, Any]]] = {}
    for file in read_files(cloud, hub):
        events.setdefault(partition_of(file), []).extend(file.events)
    return events
