"""The main features through Azure's client for JavaScript, as an independent witness."""

from localcloud.testing import LocalCloudProcess
from localcloud_tests.support.javascript import SERVICE_BUS, needs_node, run


@needs_node
def test_the_main_features(cloud: LocalCloudProcess, queue: str) -> None:
    done = run("servicebus.mjs", cloud.servicebus_connection_string, queue, "js-sessions", "js-news", "js")
    assert done == SERVICE_BUS
