"""An audit as a report that a person can read, and as figures. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from songline.audit.plan import KINDS, WORDS, AuditConfig
from songline.audit.proof import Proof

WIDTH = 100


class AuditReport(Struct, frozen=True, kw_only=True):
    """What was done and what it proved. `counts`: operations by name and outcome. `faults`: by kind; `of_processes`:
    kills and stops by process. `struck`: requests that faults struck, by kind. `rests_s`: after each round of faults,
    how long it took until every process was ready. `without`: faults that could not be made here, with the reason.
    `ended_early`: why it ended before it was complete; empty otherwise."""

    config: AuditConfig
    took_s: float
    counts: Mapping[str, Mapping[str, int]]
    faults: Mapping[str, int]
    of_processes: Mapping[str, Mapping[str, int]]
    struck: Mapping[str, int]
    rests_s: tuple[float, ...]
    settled_s: float | None
    without: Mapping[str, str]
    proofs: tuple[Proof, ...]
    ended_early: str = ""

    @property
    def is_proven(self) -> bool:
        """Whether all was checked, and nothing was disproven."""
        return bool(self.proofs) and not self.ended_early and all(one.holds for one in self.proofs)


def report_text(report: AuditReport, places: Mapping[str, str]) -> str:
    """The report; `places` say where more is to be found, by what it is."""
    return "\n".join(_lines(report, places)) + "\n"


def _lines(report: AuditReport, places: Mapping[str, str]) -> Iterator[str]:
    config = report.config
    kind = "with faults" if config.is_chaotic else "of the running system" if config.is_here else "without faults"
    yield f"Audit {kind}, seed {config.seed}: {_verdict(report)}"
    if report.ended_early:
        yield f"It ended early, after {report.took_s:.0f} s: {report.ended_early}"
    else:
        yield f"It took {report.took_s:.0f} s, of which {config.minutes * 60:.0f} s were under load."
    yield ""
    yield "What was done"
    for operation, outcomes in sorted(report.counts.items()):
        if operation != "fault":
            parts = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(outcomes.items()))
            yield f"  {operation:<12} {sum(outcomes.values()):>8,}  {parts}"
    if config.is_chaotic:
        yield from _fault_lines(report)
    yield ""
    yield "What was proven"
    for one in report.proofs:
        mark = "proven" if one.holds else "NOT CHECKED" if one.missing else "DISPROVEN"
        counts = ", ".join(f"{count:,} {what}" for what, count in one.checked.items())
        yield f"  {mark:<11}  {one.sentence}"
        yield f"               {one.missing or counts}"
        if one.wrong:
            yield f"               {one.wrong:,} differences, of which the first are:"
        for difference in one.differences:
            yield f"               - {difference.what}"
            if difference.expected is not None or difference.seen is not None:
                yield f"                 expected {_short(difference.expected)}"
                yield f"                 saw      {_short(difference.seen)}"
            if difference.where:
                yield f"                 look at  {difference.where}"
    yield ""
    for what, where in places.items():
        yield f"{what:<12} {where}"


def _fault_lines(report: AuditReport) -> Iterator[str]:
    yield ""
    yield "Faults"
    for kind in KINDS:
        count = report.faults.get(kind, 0)
        of = report.of_processes.get(kind, {})
        more = ", ".join(f"{name} {number}" for name, number in sorted(of.items())) if kind in ("kill", "stop") else ""
        rule = _RULES.get(kind, "")
        if rule in report.struck:
            more = f"{report.struck[rule]:,} requests struck"
        if kind in report.without:
            more = f"not possible here: {report.without[kind]}"
        yield f"  {count:>5,}  {WORDS[kind]}{f' ({more})' if more else ''}"
    if report.rests_s:
        in_order = sorted(report.rests_s)
        median_s, most_s = in_order[len(in_order) // 2], in_order[-1]
        yield (
            f"After each of {len(in_order)} rounds all processes were ready within {median_s:.0f} s (median), "
            f"{most_s:.0f} s at most."
        )
    if report.settled_s is not None:
        yield f"At the end everything was applied {report.settled_s:.0f} s after the last fault and the last event."


_RULES = {
    "cut": "drop",
    "lose": "lose",
    "throttle": "throttle",
    "busy": "busy",
    "detach": "detach",
    "duplicate": "duplicate",
    "slow-disk": "delay",
}


def _verdict(report: AuditReport) -> str:
    if any(one.wrong for one in report.proofs):
        return "DISPROVEN"
    return "proven" if report.is_proven else "not all was checked"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= WIDTH * 3 else f"{text[: WIDTH * 3]}…"
