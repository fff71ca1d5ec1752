"""What is said where a container of Cosmos DB is missing, or is to go, and a token can't do it."""

from songline.cloud.cosmos import how_to_create, how_to_delete
from songline.processes.entities import CONTAINERS


def test_on_azure_the_deployment_creates_it_with_the_rights_of_the_workers() -> None:
    said = how_to_create("https://music.documents.azure.com:443/", "songline", CONTAINERS[0])
    assert f"no container {CONTAINERS[0].name}" in said
    assert "`azd provision`" in said
    assert "parameter `versions`" in said


def test_on_azure_the_deployment_must_not_create_again_what_is_deleted() -> None:
    said = how_to_delete("https://music.documents.azure.com:443/", "songline", "charts-v2")
    assert "az cosmosdb sql container delete -g GROUP -a ACCOUNT -d songline -n charts-v2" in said
    assert "parameter `versions`" in said
