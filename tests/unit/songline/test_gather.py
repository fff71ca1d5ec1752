"""A question that finds something foreign is one line of the doctor's, and not its end."""

import pytest

from songline.doctor import gather
from songline.doctor.facts import FailedQuestion
from songline.projections.live.worker_reports import WorkerReports
from songline.schemas.errors import PoisonError
from songline.schemas.progress_report import NotReadyCause, NotReadyReason


async def test_a_document_that_cannot_be_understood_is_an_answer() -> None:
    async def question() -> int:
        raise PoisonError("broken-contract", "shelves: expected a whole number")

    found = await gather._within(question())
    assert isinstance(found, FailedQuestion)
    assert "shelves: expected a whole number" in found.reason


@pytest.mark.parametrize("address", ["http://[::1", "http://127.0.0.1:port", "127.0.0.1:8001"])
async def test_an_address_of_a_process_that_is_none_is_an_answer(address: str) -> None:
    said = await gather._health(address)
    assert isinstance(said, str)
    assert address in said
    reports = WorkerReports({"catalog": address})
    found = (await reports.read())["catalog"]
    await reports.close()
    assert isinstance(found, NotReadyReason)
    assert (found.cause, address in found.sentence) == (NotReadyCause.NOT_ANSWERING, True)
