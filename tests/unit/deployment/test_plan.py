"""What a workload needs on Azure, and its price."""

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from songline.commands.plan import command
from songline.deployment.planning import figures
from songline.deployment.planning.plan import Plan, make_plan
from songline.deployment.planning.prices import SHIPPED, PriceFileError, read_prices, weakest
from songline.deployment.planning.workload import Workload

PRICES = read_prices()
SMALL = Workload(plays_per_second=50, listeners=20_000, songs=50_000, uploads_per_day=500)
MARKS = {"measured", "published", "assumed"}

workloads = st.builds(
    Workload,
    plays_per_second=st.floats(0, 1e5),
    listeners=st.integers(0, 10**9),
    songs=st.integers(0, 10**9),
    uploads_per_day=st.floats(0, 1e6),
    song_megabytes=st.floats(0, 100),
    peak=st.floats(1, 100),
    months=st.integers(1, 120),
    reads_per_second=st.none() | st.floats(0, 1e5),
)


def amount(plan: Plan, name: str) -> float:
    (found,) = (line.amount for line in plan.lines if line.name.startswith(name))
    return found


@given(workloads)
def test_nothing_is_negative_and_everything_is_marked(workload: Workload) -> None:
    plan = make_plan(workload, PRICES)
    for line in plan.lines:
        assert line.amount >= 0
        assert line.monthly >= 0
        assert line.mark in MARKS
        assert line.made_of
        assert {one.partition(":")[0] for one in line.made_of} <= MARKS
        assert line.mark == weakest(*(one.partition(":")[0] for one in line.made_of))  # type: ignore[arg-type] # a mark
    assert plan.monthly == pytest.approx(sum(line.monthly for line in plan.lines))


@given(
    workloads,
    st.sampled_from(["plays_per_second", "listeners", "songs", "uploads_per_day", "song_megabytes", "peak", "months"]),
    st.floats(1, 10),
)
def test_more_work_never_costs_less(workload: Workload, field: str, factor: float) -> None:
    value = getattr(workload, field)
    more = type(value)(value * factor) if isinstance(value, float) else int(value * factor) + 1
    larger = msgspec.structs.replace(workload, **{field: more})
    before, after = make_plan(workload, PRICES), make_plan(larger, PRICES)
    assert after.monthly >= before.monthly * (1 - 1e-9)
    for name in ("throughput units", "partitions", "events taken", "request units in a peak", "documents", "songs"):
        assert amount(after, name) >= amount(before, name) * (1 - 1e-9)


@given(workloads)
def test_what_is_bought_in_wholes_is_whole(workload: Workload) -> None:
    for line in make_plan(workload, PRICES).lines:
        if line.unit in ("units", "partitions", "replicas"):
            assert line.amount == int(line.amount) >= 1


def test_a_small_system_in_figures() -> None:
    plan = make_plan(SMALL, PRICES)
    assert amount(plan, "throughput units") == 1
    assert amount(plan, "partitions") == 4
    # 60 events a second in the mean, over 730 hours.
    assert amount(plan, "events taken") == pytest.approx(60 * 730 * 3_600 / 1e6)
    # A throughput unit is 0.03 an hour, and Capture 0.1.
    by_name = {line.name: line.monthly for line in plan.lines}
    assert by_name["throughput units"] == pytest.approx(0.03 * 730)
    assert by_name["Capture"] == pytest.approx(0.1 * 730)
    assert plan.warnings == ()


def test_what_standard_has_not_is_named() -> None:
    plan = make_plan(msgspec.structs.replace(SMALL, plays_per_second=100_000), PRICES)
    assert any("throughput units, and Standard has 40" in warning for warning in plan.warnings)
    assert any("partitions, and Standard has 32" in warning for warning in plan.warnings)


def test_the_parameters_that_deploy_it_are_told() -> None:
    assert make_plan(SMALL, PRICES).parameters == {"cosmosRequestUnits": 2_000, "trendingWorkers": 2}
    large = CliRunner().invoke(
        command,
        ["--plays-per-second=5000", "--listeners=2000000", "--songs=5000000", "--uploads-per-day=50000"],
    )
    assert large.exit_code == 0
    (told,) = (line for line in large.output.splitlines() if line.startswith('"maximumThroughputUnits"'))
    given = {name: one["value"] for name, one in json.loads("{" + told + "}").items()}
    assert given == {
        "maximumThroughputUnits": 18,
        "partitions": 23,
        "cosmosRequestUnits": 19_000,
        "trendingWorkers": 23,
        "trendingCores": 4,
        "apiMaximum": 9,
    }


def test_more_replicas_than_an_app_has_are_named() -> None:
    plan = make_plan(msgspec.structs.replace(SMALL, reads_per_second=1e6), PRICES)
    assert any("replicas of api, and an app has 1000" in warning for warning in plan.warnings)


def test_request_units_of_libraries_are_those_that_were_measured() -> None:
    per_action = {rate: figures.interpolated(figures.LIBRARY_RU, rate) / rate for rate in (50, 500, 60_000)}
    assert per_action == {50: 2.2, 500: 0.5, 60_000: 0.12}


def test_a_file_of_prices_replaces_the_shipped_one(tmp_path: Path) -> None:
    own = json.loads(SHIPPED.read_text())
    own["prices"]["cosmos-storage"]["amount"] = 100
    file = tmp_path / "prices.json"
    file.write_text(json.dumps(own))
    assert make_plan(SMALL, read_prices(file)).monthly > make_plan(SMALL, PRICES).monthly


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda own: own["prices"].pop("logs"), "logs: saw nothing, expected a price for one GB"),
        (lambda own: own["prices"]["logs"].update(unit="TB"), "saw a price for one TB, expected a price for one GB"),
        (lambda own: own["prices"]["logs"].update(amount=-1), "amount"),
        (lambda own: own.update(date="yesterday"), "date"),
        (lambda own: own.update(currency=5), "currency"),
    ],
)
def test_a_file_that_holds_no_prices_is_named(tmp_path: Path, change: object, says: str) -> None:
    own = json.loads(SHIPPED.read_text())
    assert callable(change)
    change(own)
    file = tmp_path / "prices.json"
    file.write_text(json.dumps(own))
    with pytest.raises(PriceFileError, match=says):
        read_prices(file)


def test_the_command_prints_all_lines_and_their_sum() -> None:
    options = ["--plays-per-second", "50", "--listeners", "20000", "--songs", "50000", "--uploads-per-day", "500"]
    printed = CliRunner().invoke(command, options)
    assert printed.exit_code == 0, printed.output
    assert "USD a month, by prices of East US, 2026-11-29" in printed.output
    told = CliRunner().invoke(command, [*options, "--json"])
    plan = msgspec.json.decode(told.output, type=Plan)
    assert plan == make_plan(SMALL, PRICES)


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "x"])
def test_the_command_refuses_what_is_no_workload(value: str) -> None:
    options = ["--plays-per-second", value, "--listeners", "1", "--songs", "1", "--uploads-per-day", "1"]
    assert CliRunner().invoke(command, options).exit_code == 2
