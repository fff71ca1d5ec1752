"""The main features through Azure's client for JavaScript, as an independent witness."""

from localcloud.testing import LocalCloudProcess
from localcloud_tests.integration.eventhubs.hub import Hub
from localcloud_tests.support.javascript import EVENT_HUBS, needs_node, run


@needs_node
def test_the_main_features(cloud: LocalCloudProcess, hub: Hub, other_hub: Hub) -> None:
    done = run("eventhubs.mjs", cloud.eventhub_connection_string, hub.name, other_hub.name, "second")
    assert done == EVENT_HUBS
