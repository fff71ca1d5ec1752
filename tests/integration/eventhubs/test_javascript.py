"""The main features through Azure's client for JavaScript, as an independent witness."""

from tests.integration.eventhubs.hub import Hub
from tests.support.javascript import needs_node, run
from tests.support.localcloud import LocalCloud

CHECKS = """
    partitionIds hubProperties emptyPartition partitionProperties
    sendArray sendBatch fullBatch partitionKey partitionsInTurn properties systemFields bodies
    annotatedMessages bufferedProducer
    earliest latest positions lastEnqueued groups ownerLevel processors
    missingHub missingPlaces wrongKey tokens tokensForAnotherHub tooLarge manyClients
"""


@needs_node
def test_the_main_features(cloud: LocalCloud, hub: Hub, other_hub: Hub) -> None:
    done = run("eventhubs.mjs", cloud.eventhub_connection_string, hub.name, other_hub.name, "second")
    assert done == CHECKS.split()
