"""Writes `docs/performance.md` from the kept results. What stands outside of the two marks is written by hand."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.benches import BENCHES, ROWS
from bench.measurement import BenchRun, Measurement, read_runs

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- `make bench` writes from here -->", "<!-- to here -->"

_HEAD = "| what | figure | unit | ratio | peer | wanted | |\n| --- | ---: | --- | ---: | --- | --- | --- |"


def write(page: Path = PAGE) -> None:
    """Write what the results say between the marks of `page`."""
    page.write_text(with_results(page.read_text(encoding="utf-8"), read_runs()), encoding="utf-8")


def with_results(text: str, runs: Mapping[str, BenchRun]) -> str:
    """The page `text` with these runs between its marks; raises ValueError for a page without both marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN!r} with {END!r} behind it: write both where the results are to stand")
    return f"{before}{BEGIN}\n\n{''.join(_sections(runs))}{END}{after}"


def line(one: Measurement) -> str:
    """A measurement as it is printed."""
    beside = "" if one.ratio is None else f"   {_number(one.ratio)} of {one.peer}"
    bound = f"   wanted {one.wanted}: {_met(one)}" if one.wanted else ""
    return f"  {one.what:<60} {_number(one.figure):>12} {one.unit}{beside}{bound}"


def shown(found: list[Measurement]) -> list[Measurement]:
    """These measurements, which are printed at once: a run of an hour that is cut off has told what it knew."""
    print("\n".join(map(line, found)), flush=True)
    return found


def _sections(runs: Mapping[str, BenchRun]) -> Iterable[str]:
    for name in BENCHES:
        if name in runs:
            yield _section(runs[name])


def _section(run: BenchRun) -> str:
    rows = sorted({one.row for one in run.measurements} - {0})
    numbers = f"Row {', '.join(map(str, rows))}: " if rows else ""
    about = "; ".join(ROWS[row] for row in rows) or BENCHES[run.bench].what
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    table = "\n".join([_HEAD, *map(_row, run.measurements)])
    return (
        f"### {numbers}{about}\n\n`make bench ARGS={run.bench}`, {run.at} UTC, {run.machine}; {versions}.\n\n"
        f"{run.region}\n\n{table}\n\n"
    )


def _row(one: Measurement) -> str:
    ratio = "" if one.ratio is None else _number(one.ratio)
    peer = one.peer if one.peer_figure is None else f"{one.peer}: {_number(one.peer_figure)}"
    cells = (one.what, _number(one.figure), one.unit, ratio, peer, one.wanted, _met(one))
    return "| " + " | ".join(cells) + " |"


def _met(one: Measurement) -> str:
    return {True: "yes", False: "no", None: ""}[one.met]


def _number(value: float) -> str:
    """Three digits that count, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
