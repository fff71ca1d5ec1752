"""A data folder that is served over TLS from now on."""

import json
from pathlib import Path
from typing import Any

from azure.eventhub import EventData, EventHubProducerClient, TransportType

from localcloud.testing import LocalCloudProcess


def test_data_goes_on_with_tls_without_and_as_on_azure(tmp_path: Path) -> None:
    hubs = tmp_path / "hubs.json"
    entities = [{"Name": "orders", "PartitionCount": 1}]
    hubs.write_text(json.dumps({"UserConfig": {"NamespaceConfig": [{"Entities": entities}]}}))
    plain = LocalCloudProcess(tmp_path / "data", [f"--config={hubs}"])
    secure = LocalCloudProcess(tmp_path / "data", [f"--config={hubs}", "--tls"])
    # Keys come back where they are asked for.
    limited = LocalCloudProcess(tmp_path / "data", [f"--config={hubs}", "--like-azure", "--local-auth"])
    for cloud in (plain, secure, limited):
        cloud.start()
        try:
            options: dict[str, Any] = {
                "custom_endpoint_address": cloud.eventhub_endpoint,
                "connection_verify": str(cloud.authority),
            }
            with EventHubProducerClient.from_connection_string(
                cloud.eventhub_connection_string,
                eventhub_name="orders",
                transport_type=TransportType.Amqp,
                **(options if cloud.tls else {}),
            ) as hub:
                hub.send_batch([EventData("tea")])
                last = hub.get_partition_properties("0")["last_enqueued_sequence_number"]
        finally:
            cloud.stop()
    assert last == 2
