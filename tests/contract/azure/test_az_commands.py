"""The commands of the Azure CLI that pages show: they exist, with these options, and lack none."""

from pathlib import Path

import pytest

from songline.cloud.cosmos import how_to_delete
from tests.support.az_commands import faults
from tests.support.pages import ROOT

PAGES = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_shows_commands_that_the_cli_takes(page: Path) -> None:
    assert faults(page.read_text(encoding="utf-8")) == []


def test_who_deletes_a_container_gets_such_a_command() -> None:
    said = how_to_delete("https://music.documents.azure.com:443/", "songline", "charts-v1")
    assert "az cosmosdb sql container delete" in said
    assert faults(said) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("`az login`, or `az role assignment` for short", []),
        ("az storage account list \\\n  -g G --query '[0].name'   # --not-one", []),
        (
            "`az eventgrid topic update -g G -n T --disable-local-auth true`",
            ["az eventgrid topic update: no such command"],
        ),
        ("az containerapp update -g G", ["az containerapp update: needs -n|--name"]),
        ("`az containerapp update -g G -n A --images B`", ["az containerapp update: has no --images"]),
        ("group=$(az group show --query id) --name", ["az group show: needs -n|--name|-g|--resource-group"]),
        ("az group show -n G; az group delete -n G", ["az group delete: no such command"]),
    ],
)
def test_what_the_cli_refuses_is_found(text: str, found: list[str]) -> None:
    assert faults(text) == found
