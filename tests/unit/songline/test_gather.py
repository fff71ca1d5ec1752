"""A question that finds something foreign is one line of the doctor's, and not its end."""

from songline.doctor import gather
from songline.doctor.facts import FailedQuestion
from songline.schemas.errors import PoisonError


async def test_a_document_that_cannot_be_understood_is_an_answer() -> None:
    async def question() -> int:
        raise PoisonError("broken-contract", "shelves: expected a whole number")

    found = await gather._within(question())
    assert isinstance(found, FailedQuestion)
    assert "shelves: expected a whole number" in found.reason
