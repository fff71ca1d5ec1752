"""The main operations through Azure's client for JavaScript, as an independent witness."""

from localcloud.testing import LocalCloudProcess
from localcloud_tests.support.javascript import COSMOS_DB, needs_node, run


@needs_node
def test_the_main_operations(shared_localcloud: LocalCloudProcess) -> None:
    cloud = shared_localcloud
    with cloud.throttled("js-throttled"):
        done = run("cosmos.mjs", cloud.cosmos_endpoint, cloud.cosmos_key, "js", "js-throttled")
    assert done == COSMOS_DB
