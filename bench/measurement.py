"""What a benchmark measures, and how a run of it is kept: a line of JSON in `bench/results.jsonl`."""

import operator
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

RESULTS = Path(__file__).parent / "results.jsonl"

_BOUNDS = {">=": operator.ge, "<=": operator.le}


class Measurement(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One figure of a row of `docs/performance.md`; row 0 is for figures that belong to none.

    `wanted` is a bound such as ">= 0.8" or "<= 25": of `ratio` where there is one, else of `figure`. `ratio` is the
    figure as a part of the peer's, measured in the same run, and `peer` says what the peer is.
    """

    row: int
    what: str
    figure: float
    unit: str
    wanted: str = ""
    ratio: float | None = None
    peer: str = ""
    peer_figure: float | None = None

    def __post_init__(self) -> None:
        if self.wanted:
            _read_bound(self.wanted)

    @property
    def met(self) -> bool | None:
        """Whether the figure, or the ratio where there is one, keeps to the bound; None without a bound."""
        if not self.wanted:
            return None
        compare, bound = _read_bound(self.wanted)
        return bool(_BOUNDS[compare](self.figure if self.ratio is None else self.ratio, bound))


class BenchRun(Struct, frozen=True, kw_only=True):
    """A run of one benchmark: when, where, with which versions, what it measured, and what its region holds."""

    bench: str
    at: str
    machine: str
    versions: dict[str, str]
    region: str
    measurements: list[Measurement]


def read_runs(path: Path = RESULTS) -> dict[str, BenchRun]:
    """The kept runs by the name of their benchmark; none if there is no file. Raises msgspec.DecodeError."""
    if not path.exists():
        return {}
    runs = (msgspec.json.decode(line, type=BenchRun) for line in path.read_bytes().splitlines())
    return {run.bench: run for run in runs}


def keep_run(run: BenchRun, path: Path = RESULTS) -> None:
    """Write `run` in place of the last run of its benchmark."""
    _write({**read_runs(path), run.bench: run}.values(), path)


def _write(runs: Iterable[BenchRun], path: Path) -> None:
    path.write_bytes(b"".join(msgspec.json.encode(run) + b"\n" for run in sorted(runs, key=lambda run: run.bench)))


def _read_bound(text: str) -> tuple[str, float]:
    compare, _, bound = text.partition(" ")
    if compare not in _BOUNDS:
        raise ValueError(f"wanted: saw {text!r}, expected a bound such as '>= 0.8' or '<= 25'")
    return compare, float(bound)
