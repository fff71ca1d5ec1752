"""The one declaration of entities: Microsoft's emulators take it as it is, and it names what the stages meet in."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import jsonschema
import msgspec
import pytest

from localcloud.config import read_hubs
from localcloud.servicebus.config import read_namespace
from songline.processes import emulator_files
from songline.processes.entities import QUEUE, QueueDeclaration
from songline.schemas import channels

HERE = Path(__file__).parent
Service = Literal["eventhubs", "servicebus"]
SERVICES: tuple[Service, ...] = ("eventhubs", "servicebus")


def schema(service: Service) -> dict[str, Any]:
    return read(HERE / f"{service}.schema.json")


def declared(service: Service) -> dict[str, Any]:
    return read(emulator_files.files(service)[0])


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def hubs(document: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document["UserConfig"]["NamespaceConfig"][0]["Entities"]
    return found


def namespace(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["UserConfig"]["Namespaces"][0]
    return found


def queue(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = namespace(document)["Queues"][0]["Properties"]
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_the_emulators_take_what_is_declared(service: Service) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(service))
    jsonschema.validate(declared(service), schema(service))


@pytest.mark.parametrize(
    ("service", "spoil", "where"),
    [
        ("eventhubs", lambda d: hubs(d).extend({"Name": f"h{i}", "PartitionCount": 1} for i in range(11)), "Entities"),
        ("eventhubs", lambda d: hubs(d)[0].update(PartitionCount=33), "PartitionCount"),
        ("eventhubs", lambda d: hubs(d)[0].update(ConsumerGroups=[]), "ConsumerGroups"),
        ("eventhubs", lambda d: hubs(d)[0].update(ConsumerGroups=[{"Name": "$default"}]), "ConsumerGroups"),
        ("eventhubs", lambda d: hubs(d)[0].update(Properties={"CleanupPolicy": "Compact"}), "Entities"),
        ("eventhubs", lambda d: d["UserConfig"]["NamespaceConfig"][0].update(Name="songline"), "Name"),
        ("servicebus", lambda d: queue(d).update(DefaultMessageTimeToLive="PT2H"), "DefaultMessageTimeToLive"),
        ("servicebus", lambda d: queue(d).update(DuplicateDetectionHistoryTimeWindow="PT10M"), "Duplicate"),
        ("servicebus", lambda d: queue(d).update(LockDuration="PT30S"), "LockDuration"),
        ("servicebus", lambda d: queue(d).update(MaxDeliveryCount=11), "MaxDeliveryCount"),
        ("servicebus", lambda d: queue(d).update(MaxMessageSizeInKilobytes=102400), "Properties"),
        ("servicebus", lambda d: d["UserConfig"].update(LoggingConfig={"Type": "Console"}), "UserConfig"),
    ],
)
def test_what_an_emulator_does_not_take_is_refused(
    service: Service, spoil: Callable[[dict[str, Any]], None], where: str
) -> None:
    document = declared(service)
    spoil(document)
    with pytest.raises(jsonschema.ValidationError) as caught:
        jsonschema.validate(document, schema(service))
    assert where in caught.value.json_path


def test_the_namespace_of_service_bus_has_room() -> None:
    found = namespace(declared("servicebus"))
    assert len(found["Queues"]) + len(found["Topics"]) <= 50


def test_hubs_and_groups_are_those_that_the_stages_name() -> None:
    found = hubs(declared("eventhubs"))
    assert sorted(hub["Name"] for hub in found) == sorted(channels.HUBS)
    groups = {group["Name"] for hub in found for group in hub.get("ConsumerGroups", [])}
    assert groups == {value for name, value in vars(channels).items() if name.endswith("_GROUP")}


def test_queues_are_those_that_the_stages_name() -> None:
    found = namespace(declared("servicebus"))
    assert [queue["Name"] for queue in found["Queues"]] == [channels.SONG_COMMANDS]


def test_the_queue_is_as_the_doctor_wants_it() -> None:
    properties = queue(declared("servicebus"))
    assert (
        QueueDeclaration(
            lock=msgspec.convert(properties["LockDuration"], timedelta),
            deliveries=properties["MaxDeliveryCount"],
            duplicates=msgspec.convert(properties["DuplicateDetectionHistoryTimeWindow"], timedelta),
            expired_are_kept=properties["DeadLetteringOnMessageExpiration"],
            sessions=properties["RequiresSession"],
        )
        == QUEUE
    )


def test_localcloud_reads_what_is_declared() -> None:
    assert {hub.name for hub in read_hubs(emulator_files.files("eventhubs"))} == set(channels.HUBS)
    (found,) = read_namespace(emulator_files.files("servicebus")).queues
    assert found.name == channels.SONG_COMMANDS
    assert found.properties.duplicate_detection_history_time_window == QUEUE.duplicates
    assert found.properties.max_message_size_in_kilobytes == 102_400


def test_a_wheel_has_the_files() -> None:
    """A build follows the link into the package."""
    for service in SERVICES:
        for file in emulator_files.files(service):
            assert file.is_file()
            assert file.parents[1] == emulator_files.FOLDER
