"""The main features through kafkajs, as an independent witness."""

from localcloud.testing import LocalCloudProcess
from localcloud_tests.support.javascript import needs_node, run


@needs_node
def test_the_main_features(shared: LocalCloudProcess) -> None:
    done = run("kafka.mjs", shared.kafka_bootstrap, shared.eventhub_connection_string)
    assert done == ["topics", "configs", "produce", "consume", "administer"]
