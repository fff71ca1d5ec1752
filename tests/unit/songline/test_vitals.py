"""Whether a process is to be ended for being stuck."""

import asyncio
from datetime import UTC, datetime

import httpx
import pytest

from songline.processes.vitals import UnansweredError, Vitals, http_checkup, report_in
from songline.schemas.progress_report import NotReadyCause, ProgressReport, not_ready
from tests.support.recording_server import RecordingServer

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


def reported(*causes: NotReadyCause) -> ProgressReport:
    reasons = tuple(not_ready("library", cause, f"it is {cause}") for cause in causes)
    return ProgressReport(worker="library", as_of=NOON, reasons=reasons)


def test_one_that_has_not_answered_yet_begins() -> None:
    vitals = Vitals(hung_s=30)
    for second in range(0, 600, 5):
        vitals.unanswered(second)
    assert vitals.ailment() == ""


def test_one_that_answers_no_more_hangs_and_any_answer_heals() -> None:
    vitals = Vitals(hung_s=30)
    vitals.answered(None, 0)
    for second in range(5, 31, 5):
        vitals.unanswered(second)
    assert vitals.ailment() == ""
    vitals.unanswered(35)
    assert vitals.ailment() == "has not answered for 30 s"
    vitals.answered(None, 36)
    assert vitals.ailment() == ""


def test_nothing_is_concluded_from_time_in_which_nobody_asked() -> None:
    vitals = Vitals(hung_s=30, stuck_s=60)
    vitals.answered(reported(NotReadyCause.STANDS_STILL), 0)
    vitals.unanswered(10_000)
    assert vitals.ailment() == ""


def test_a_stall_that_nothing_explains_is_borne_for_a_while() -> None:
    vitals = Vitals(stuck_s=60)
    for second in range(0, 60, 2):
        vitals.answered(reported(NotReadyCause.STANDS_STILL, NotReadyCause.FAR_BEHIND), second)
        assert vitals.ailment() == ""
    vitals.answered(reported(NotReadyCause.STANDS_STILL), 60)
    assert vitals.ailment() == "is stuck: it is stands-still"


def test_a_stall_that_waits_for_something_is_no_ailment() -> None:
    vitals = Vitals(stuck_s=60)
    explained = set(NotReadyCause) - {NotReadyCause.STANDS_STILL, NotReadyCause.FAR_BEHIND}
    for cause in explained:
        for second in range(0, 600, 60):
            vitals.answered(reported(NotReadyCause.STANDS_STILL, cause), second)
        assert vitals.ailment() == ""


def test_a_report_is_read_and_anything_else_is_merely_an_answer() -> None:
    assert report_in(httpx.Response(503, text="busy")) is None
    assert report_in(httpx.Response(200, text='{"status": "live"}')) is None
    assert report_in(httpx.Response(200, content=b'{"worker": "\xff"}')) is None
    assert report_in(httpx.Response(200, text='{"worker":"x","asOf":"2026-11-28T12:00:00Z"}')) == ProgressReport(
        worker="x", as_of=NOON
    )


async def test_checkups_keep_their_connection_and_make_another_when_it_is_lost() -> None:
    async with RecordingServer() as server:
        checkup = http_checkup(f"http://127.0.0.1:{server.port}/health/live")
        for _ in range(3):
            assert await asyncio.to_thread(checkup) is None
        assert server.connections == 1
        await server.cut()
        assert await asyncio.to_thread(checkup) is None
        assert server.connections == 2
    with pytest.raises(UnansweredError):
        await asyncio.to_thread(checkup)
