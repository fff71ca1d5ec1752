"""What a declaration of Capture means, and how a wrong one is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from localcloud.capture.declaration import CaptureConfig, CaptureDescriptionError, capture_config
from localcloud.capture.name_format import DEFAULT_FORMAT, file_name
from localcloud.config import ConfigError, read_hubs, with_capture_interval

MINIMAL: dict[str, Any] = {"Enabled": True, "Destination": {"BlobContainer": "archive"}}


def parsed(**changes: object) -> CaptureConfig | None:
    return capture_config(json.dumps({**MINIMAL, **changes}).encode())


def test_the_defaults_are_the_services() -> None:
    assert parsed() == CaptureConfig("archive", DEFAULT_FORMAT, 300, 314_572_800, skip_empty=False, codec="null")


def test_a_template_is_taken_as_it_is() -> None:
    destination = {
        "Name": "EventHubArchive.AzureBlockBlob",
        "Properties": {
            "StorageAccountResourceId": "/subscriptions/1/…",
            "BlobContainer": "archive",
            "ArchiveNameFormat": "{Second}{Minute}{Hour}/{Day}{Month}{Year}/{PartitionId}.{EventHub}.{Namespace}",
        },
    }
    config = parsed(
        Encoding="AvroDeflate", IntervalInSeconds=60, SizeLimitInBytes=10_485_760, SkipEmptyArchives=True,
        Destination=destination,
    )  # fmt: skip
    assert config is not None
    assert (config.interval_s, config.size_limit_bytes, config.skip_empty, config.codec) == (
        60,
        10_485_760,
        True,
        "deflate",
    )
    assert file_name(config.name_format, "ns", "hub", 3, 1_700_000_001) == "211322/14112023/3.hub.ns.avro"


def test_one_that_is_not_enabled_is_none() -> None:
    assert parsed(Enabled=False) is None


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"Enabled": "yes"}, "Enabled", "true or false"),
        ({"Encoding": "Parquet"}, "Encoding", "Avro or AvroDeflate"),
        ({"Encoding": ["Avro"]}, "Encoding", "Avro or AvroDeflate"),
        ({"IntervalInSeconds": 0}, "IntervalInSeconds", "1 to 900"),
        ({"IntervalInSeconds": 901}, "IntervalInSeconds", "1 to 900"),
        ({"IntervalInSeconds": True}, "IntervalInSeconds", "1 to 900"),
        ({"IntervalInSeconds": "60"}, "IntervalInSeconds", "1 to 900"),
        ({"SizeLimitInBytes": 524_288_001}, "SizeLimitInBytes", "1 to 524288000"),
        ({"SkipEmptyArchives": None}, "SkipEmptyArchives", "true or false"),
        ({"Interval": 60}, "field Interval", "IntervalInSeconds"),
        ({"Destination": None}, "Destination", "an object"),
        ({"Destination": {}}, "Destination.BlobContainer", "3 to 63"),
        ({"Destination": {"BlobContainer": "Archive"}}, "Destination.BlobContainer", "3 to 63"),
        ({"Destination": {"BlobContainer": "a--b"}}, "Destination.BlobContainer", "3 to 63"),
        ({"Destination": {"Properties": {"BlobContainer": 5}}}, "Destination.Properties.BlobContainer", "3 to 63"),
        ({"Destination": {"Name": "EventHubArchive.AzureDataLake"}}, "Destination.Name", "AzureBlockBlob"),
        ({"Destination": {"BlobContainer": "abc", "Folder": 1}}, "Destination, field Folder", "BlobContainer"),
    ],
)  # fmt: skip
def test_a_wrong_description_is_named(changes: dict[str, object], field: str, rule: str) -> None:
    with pytest.raises(CaptureDescriptionError) as caught:
        parsed(**changes)
    assert field in caught.value.field
    assert rule in str(caught.value)


@pytest.mark.parametrize(
    "name_format",
    [
        "{Namespace}/{EventHub}/{PartitionId}/{Year}/{Month}/{Day}/{Hour}/{Minute}",
        DEFAULT_FORMAT + "/{Millisecond}",
        DEFAULT_FORMAT + "}",
        "/" + DEFAULT_FORMAT,
        DEFAULT_FORMAT.replace("/", "//"),
        DEFAULT_FORMAT.replace("{Year}", "{year}"),
        DEFAULT_FORMAT + "x" * 500,
        5,
    ],
)
def test_a_format_that_makes_no_names_is_refused(name_format: object) -> None:
    with pytest.raises(CaptureDescriptionError, match="ArchiveNameFormat"):
        parsed(Destination={"BlobContainer": "archive", "ArchiveNameFormat": name_format})


def test_the_file_and_the_hub_are_named(tmp_path: Path) -> None:
    def read(properties: dict[str, object], namespace: dict[str, object]) -> Any:
        file = tmp_path / "localcloud.json"
        entity = {"Name": "events", "PartitionCount": 1, "Properties": properties}
        file.write_text(json.dumps({"UserConfig": {"NamespaceConfig": [{**namespace, "Entities": [entity]}]}}))
        return read_hubs([file])

    (hub,) = read({"CaptureDescription": MINIMAL}, {"Name": "ns1"})
    assert hub.capture == CaptureConfig("archive")
    assert hub.namespace == "ns1"
    assert with_capture_interval(hub, 7).capture == CaptureConfig("archive", interval_s=7)
    assert with_capture_interval(hub, None) == hub
    (plain,) = read({}, {})
    assert plain.capture is None
    with pytest.raises(ConfigError, match=r"localcloud\.json: hub events: .*Encoding is \"Json\"; expected Avro"):
        read({"CaptureDescription": {**MINIMAL, "Encoding": "Json"}}, {})
    with pytest.raises(ConfigError, match="CleanupPolicy is Compact"):
        read({"CaptureDescription": MINIMAL, "CleanupPolicy": "Compact"}, {})
