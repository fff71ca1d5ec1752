"""The page of results is written from the kept runs, and leaves alone what is written by hand."""

from importlib import util
from pathlib import Path

import pytest

from bench.benches import BENCHES, ROWS, names_of
from bench.measurement import BenchRun, Measurement, keep_run, read_runs
from bench.report import BEGIN, END, PAGE, with_results


def run(figure: float, bench: str = "trending") -> BenchRun:
    return BenchRun(
        bench=bench,
        at="2026-11-28 12:00",
        machine="x86_64, 2 cores, 24 GiB",
        versions={"python": "3.11.7"},
        region="Inside: reading. Outside: connecting.",
        measurements=[
            Measurement(row=4, what="by rate", figure=figure, unit="events/s", wanted=">= 0.65", ratio=0.7, peer="bare")
        ],
    )


@pytest.mark.parametrize(
    ("wanted", "figure", "ratio", "met"),
    [
        (">= 0.8", 0.8, None, True),
        (">= 0.8", 0.79, None, False),
        ("<= 25", 25, None, True),
        ("<= 25", 25.1, None, False),
        (">= 0.8", 100_000, 0.5, False),
        ("", 1, None, None),
    ],
)
def test_a_bound_is_of_the_ratio_where_there_is_one(
    wanted: str, figure: float, ratio: float | None, met: bool | None
) -> None:
    assert Measurement(row=4, what="", figure=figure, unit="", wanted=wanted, ratio=ratio).met is met


@pytest.mark.parametrize("wanted", ["0.8", "> 0.8", ">=0.8", ">= fast"])
def test_a_bound_that_says_nothing_is_refused(wanted: str) -> None:
    with pytest.raises(ValueError, match=r"wanted|could not convert"):
        Measurement(row=4, what="", figure=1, unit="", wanted=wanted)


def test_a_run_takes_the_place_of_the_last_one_of_its_benchmark(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    assert read_runs(results) == {}
    for each in (run(1), run(2, "library"), run(3)):
        keep_run(each, results)
    assert read_runs(results) == {"library": run(2, "library"), "trending": run(3)}


def test_what_is_written_by_hand_stays() -> None:
    page = f"# By hand\n\n{BEGIN}\nof the last run\n{END}\n\nAlso by hand.\n"
    written = with_results(page, {"trending": run(94_700)})
    assert written.startswith("# By hand\n\n")
    assert written.endswith(f"{END}\n\nAlso by hand.\n")
    assert "of the last run" not in written
    assert "| by rate | 94,700 | events/s | 0.7 | bare | >= 0.65 | yes |" in written
    assert "Inside: reading. Outside: connecting." in written
    assert "2026-11-28 12:00 UTC" in written
    assert with_results(written, {"trending": run(94_700)}) == written


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="has no"):
        with_results(f"{END} {BEGIN}", {})


def test_the_page_says_what_the_kept_results_say() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_results(page, read_runs()) == page, "write it again: python -m bench --docs"


def test_each_benchmark_is_there() -> None:
    assert [name for name in BENCHES if util.find_spec(f"bench.{name}") is None] == []


def test_each_row_has_a_benchmark() -> None:
    assert {row for bench in BENCHES.values() for row in bench.rows} == set(ROWS)
    assert names_of(("2", "trending")) == ["library", "trending"]
    assert names_of(()) == list(BENCHES)
