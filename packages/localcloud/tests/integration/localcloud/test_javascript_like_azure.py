"""Azure's clients for JavaScript over TLS and WebSockets, by the tokens of a managed identity."""

from localcloud.testing import Declarations, LocalCloudProcess
from localcloud_tests.support import managed
from localcloud_tests.support.javascript import needs_node, run

ENTITIES = Declarations(hubs={"orders": 1}, queues=["invoices"], containers={"shop/orders": "/customerId"})


@needs_node
def test_tls_websockets_and_tokens(secure_localcloud: LocalCloudProcess) -> None:
    with secure_localcloud.namespace(ENTITIES) as cloud:
        identity = managed.environment(cloud, secure_localcloud, managed.OWNER)
        ports = [str(cloud.ports[service]) for service in ("eventhubs", "servicebus", "cosmos")]
        done = run(
            "like_azure.mjs",
            *ports,
            *("orders", "invoices", "shop", "orders"),
            environ={**identity, "NODE_EXTRA_CA_CERTS": str(cloud.authority)},
        )
    assert done == ["events", "messages", "events-websockets", "messages-websockets", "items"]
