"""What is ready for analysts: the notebook runs, and Grafana's dashboard asks for what there is.

Grafana itself was not run.
"""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from songline.schemas.events import SongPlayed
from tests.integration.history.test_as_of import numbered, write_archive
from tests.support.history import HistoryEvent, random_history
from tests.support.localcloud import LocalCloud, SharedCloud
from tests.support.published_document import openapi_document
from tests.support.worker import make_containers
from tests.unit.history.test_chart_replay import act

ROOT = Path(__file__).parents[2]
NOTEBOOK = json.loads((ROOT / "docs/notebooks/charts.ipynb").read_text(encoding="utf-8"))
DASHBOARD = json.loads((ROOT / "infra/grafana/songline.json").read_text(encoding="utf-8"))
DOCUMENT = openapi_document()
SCHEMAS = {"charts": "ChartEntry", "ingestions": "IngestionAnswer", "deadletters": "Letter"}


@pytest.fixture(scope="module")
def history() -> list[HistoryEvent]:
    """Events of some days, the last of which are perhaps of today."""
    return numbered(random_history(Random(3), int(time.time()) - 4 * 86_400, 30, act))


@pytest.fixture(scope="module")
def cloud(cloud_host: LocalCloud, history: list[HistoryEvent]) -> Iterator[LocalCloud]:
    """A system with an archive."""
    cloud = SharedCloud(cloud_host).start()
    asyncio.run(make_containers(cloud.settings()))
    asyncio.run(write_archive(cloud, history))
    yield cloud
    cloud.stop()


def test_the_notebook_runs_from_top_to_bottom(
    address: str, cloud: LocalCloud, history: list[HistoryEvent], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SONGLINE_API", address)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for cell in NOTEBOOK["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [], "outputs are of one machine at one moment: clear them"
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    assert names["top"]["songId"].to_list() == ["song-42"]
    assert names["genres"]["listens"].to_list() == [812]
    played = [one for one in history if isinstance(one.event.data, SongPlayed)]
    assert names["plays"]["plays"].sum() == len(played)
    days = {one.second // 86_400 for one in played}
    assert names["exported"]["plays"].sum() == len(played)
    assert len(names["exported"]) == len(days)


def targets() -> Iterator[tuple[str, dict[str, Any]]]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target


@pytest.mark.parametrize(("title", "target"), [pytest.param(*one, id=one[0]) for one in targets()])
def test_a_panel_asks_for_what_there_is(title: str, target: dict[str, Any]) -> None:
    path, _, query = target["url"].removeprefix("${api}").partition("?")
    asked = path.replace("top/", "{kind}/").replace("trending/", "{kind}/").replace("{kind}/1h", "{kind}/{window}")
    operation = DOCUMENT["paths"][asked.replace("${window}", "{window}")]["get"]
    known = {parameter["name"] for parameter in operation["parameters"]} if "parameters" in operation else set()
    assert set(re.findall(r"(\w+)=", query)) <= known
    fields = DOCUMENT["components"]["schemas"][SCHEMAS[path.split("/")[2]]]["properties"]
    assert {column["selector"] for column in target["columns"]} <= fields.keys() | {"asOf"}


def test_every_variable_is_declared() -> None:
    declared = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{(\w+)", json.dumps(DASHBOARD["panels"])))
    assert used - {"__from", "__to"} <= declared
