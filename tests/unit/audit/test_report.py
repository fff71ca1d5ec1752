"""The report says what was done, what was proven, what was not, and where to look."""

from msgspec import structs

from songline.audit.plan import AuditConfig
from songline.audit.proof import SHOWN, Difference, proof, unchecked
from songline.audit.report import AuditReport, report_text

RIGHT = proof("events-kept", "No accepted event is lost.", {"accepted events": 1_200}, [])
WRONG = proof(
    "order-kept",
    "Order is kept.",
    {"events": 1_200},
    (Difference(f"event e-{number} is before", 1, 2, "the hub") for number in range(12)),
)
REPORT = AuditReport(
    config=AuditConfig(seed=7, minutes=2, is_chaotic=True),
    took_s=150.4,
    counts={"publish": {"200": 90, "503": 3}, "fault": {"done": 40}},
    faults={"kill": 12, "cut": 1},
    of_processes={"kill": {"api": 5, "trending": 7}},
    struck={"drop": 44},
    rests_s=(5.0, 31.0, 9.0),
    settled_s=4.0,
    without={"full-disk": "permission denied"},
    proofs=(RIGHT,),
)


def test_a_report_that_proves_all_says_so() -> None:
    text = report_text(REPORT, {"report": "out/report.txt"})
    assert REPORT.is_proven
    assert text.startswith("Audit with faults, seed 7: proven\n")
    for expected in (
        "  publish            93  90 200, 3 503\n",
        "     12  processes killed (SIGKILL) (api 5, trending 7)\n",
        "      1  spells of connections cut (44 requests struck)\n",
        "      0  spells of a full disk (not possible here: permission denied)\n",
        "After each of 3 rounds all processes were ready within 9 s (median), 31 s at most.\n",
        "  proven       No accepted event is lost.\n               1,200 accepted events\n",
        "report       out/report.txt\n",
    ):
        assert expected in text


def test_what_is_disproven_is_shown_with_its_first_differences() -> None:
    report = structs.replace(REPORT, proofs=(RIGHT, WRONG))
    text = report_text(report, {})
    assert not report.is_proven
    assert text.startswith("Audit with faults, seed 7: DISPROVEN\n")
    assert "  DISPROVEN    Order is kept.\n" in text
    assert "12 differences" in text
    assert text.count("look at  the hub") == SHOWN
    assert "- event e-0 is before\n                 expected 1\n                 saw      2\n" in text


def test_what_was_not_checked_proves_nothing() -> None:
    for report in (
        structs.replace(REPORT, proofs=(RIGHT, unchecked("order-kept", "Order is kept.", "the hub is away"))),
        structs.replace(REPORT, ended_early="it was interrupted"),
        structs.replace(REPORT, proofs=()),
    ):
        assert not report.is_proven
        assert report_text(report, {}).startswith("Audit with faults, seed 7: not all was checked\n")


def test_a_load_that_was_not_carried_to_its_end_is_not_claimed() -> None:
    text = report_text(structs.replace(REPORT, took_s=3.2, ended_early="Blob Storage needs Node"), {})
    assert "It ended early, after 3 s: Blob Storage needs Node\n" in text
    assert "under load" not in text
