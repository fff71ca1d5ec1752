"""`songline plan` and infra/azure: what is planned can be deployed."""

from pathlib import Path
from typing import Any

import pytest

from songline.deployment.planning.plan import DEFAULTS, Plan, make_plan
from songline.deployment.planning.prices import read_prices
from songline.deployment.planning.workload import Workload
from songline.schemas import channels
from tests.support.bicep.evaluation import Deployment

MAIN = Path(__file__).parents[3] / "infra" / "azure" / "main.bicep"
GIVEN = {"environmentName": "dev", "location": "westeurope", "issuer": "https://login.example/"}


def amount(plan: Plan, name: str) -> float:
    (found,) = (line.amount for line in plan.lines if line.name.startswith(name))
    return found


def properties(deployment: Deployment, type_: str, name: str = "") -> dict[str, Any]:
    """Those of the one resource of the type whose name ends so."""
    (found,) = (one for one in deployment.resources if one.type == type_ and one.name.endswith(name))
    return dict(found.body["properties"])


@pytest.mark.parametrize("plays", [1, 50, 500, 5_000])
def test_a_plan_can_be_deployed_by_the_parameters_that_it_tells(plays: int) -> None:
    workload = Workload(plays_per_second=plays, listeners=plays * 400, songs=plays * 1_000, uploads_per_day=plays * 100)
    plan = make_plan(workload, read_prices())
    assert plan.warnings == ()
    deployment = Deployment(MAIN, {**GIVEN, **plan.parameters})
    namespace = properties(deployment, "Microsoft.EventHub/namespaces")
    assert namespace["maximumThroughputUnits"] >= amount(plan, "throughput units")
    assert properties(deployment, "Microsoft.EventHub/namespaces/eventhubs", channels.MUSIC_EVENTS)[
        "partitionCount"
    ] == amount(plan, "partitions")
    database = properties(deployment, "Microsoft.DocumentDB/databaseAccounts/sqlDatabases")
    assert database["options"]["autoscaleSettings"]["maxThroughput"] == amount(plan, "request units in a peak")
    apps = [one for one in deployment.resources if one.type == "Microsoft.App/containerApps"]
    assert len(apps) == 6
    for app in apps:
        process = app.body["tags"]["azd-service-name"]
        template = app.body["properties"]["template"]
        assert template["scale"]["maxReplicas"] >= amount(plan, f"{process}, ")
        (size,) = (line.name.partition(", ")[2] for line in plan.lines if line.name.startswith(f"{process}, "))
        resources = template["containers"][0]["resources"]
        assert size == f"{float(resources['cpu']):g} vCPU and {float(resources['memory'][:-2]):g} GiB each"


def test_defaults_of_a_plan_are_those_of_the_file() -> None:
    text = MAIN.read_text(encoding="utf-8")
    for name, value in DEFAULTS.items():
        assert f"param {name} int = {value}\n" in text
