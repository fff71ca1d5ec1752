"""Azure's clients for JavaScript as on Azure: each check that they pass with keys over plain TCP, over TLS and over
WebSockets, by the tokens of a managed identity."""

import pytest

from localcloud.testing import Declarations, LocalCloud, LocalCloudProcess
from localcloud_tests.support import managed
from localcloud_tests.support.javascript import COSMOS_DB, EVENT_HUBS, SERVICE_BUS, needs_node, run

GROUPS = [{"Name": "second"}]
ENTITIES = Declarations(
    hubs={name: {"PartitionCount": 4, "ConsumerGroups": GROUPS} for name in ("orders", "returns")},
    queues={"invoices": {}, "baskets": {"RequiresSession": True}},
    topics={"news": ["js"]},
)

by_transport = pytest.mark.parametrize("websockets", ["off", "on"], ids=["tls", "websockets"])


def as_identity(cloud: LocalCloud, process: LocalCloudProcess, websockets: str = "off") -> dict[str, str]:
    """The environment of a script that goes by the tokens of an identity which may do everything."""
    identity = managed.environment(cloud, process, managed.OWNER)
    return {**identity, "NODE_EXTRA_CA_CERTS": str(cloud.authority), "LOCALCLOUD_WEBSOCKETS": websockets}


@needs_node
@by_transport
def test_event_hubs(secure_localcloud: LocalCloudProcess, websockets: str) -> None:
    with secure_localcloud.namespace(ENTITIES) as cloud:
        arguments = (cloud.eventhub_connection_string, "orders", "returns", "second")
        done = run("eventhubs.mjs", *arguments, environ=as_identity(cloud, secure_localcloud, websockets))
    assert done == EVENT_HUBS


@needs_node
@by_transport
def test_service_bus(secure_localcloud: LocalCloudProcess, websockets: str) -> None:
    with secure_localcloud.namespace(ENTITIES) as cloud:
        arguments = (cloud.servicebus_connection_string, "invoices", "baskets", "news", "js")
        done = run("servicebus.mjs", *arguments, environ=as_identity(cloud, secure_localcloud, websockets))
    assert done == SERVICE_BUS


@needs_node
def test_cosmos_db(secure_localcloud: LocalCloudProcess) -> None:
    with secure_localcloud.namespace(ENTITIES) as cloud, cloud.throttled("js-throttled"):
        arguments = (cloud.cosmos_endpoint, cloud.cosmos_key, "js", "js-throttled")
        done = run("cosmos.mjs", *arguments, environ=as_identity(cloud, secure_localcloud))
    assert done == COSMOS_DB
