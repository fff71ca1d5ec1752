"""The watch over the live version: what it asks for, and what it says of a document that is gone."""

from typing import Any

from azure.cosmos.exceptions import CosmosResourceNotFoundError

from songline.processors.runtime.live_version import LiveVersionWatch
from songline.schemas.channels import CHARTS
from songline.schemas.projections import LiveVersionDocument

FIRST = f"{CHARTS}:1"


class Projections:
    """A container of the `documents` in it. `asked` has the ids that it was asked for at each look; before the look of
    each number, `changes` are made."""

    def __init__(self, changes: dict[int, dict[str, dict[str, Any] | None]]) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.asked: list[list[str]] = []
        self.reasons: list[int] = []
        self.watch: LiveVersionWatch | None = None
        self._changes = changes
        self._asks_again = False

    async def read_item(self, document_id: str, _: str) -> dict[str, Any]:
        if document_id == CHARTS and not self._asks_again:
            assert self.watch is not None
            self.reasons.append(len(list(self.watch.reasons("trending"))))
            for name, document in self._changes.get(len(self.asked), {}).items():
                self.documents.pop(name, None)
                if document is not None:
                    self.documents[name] = document
            self.asked.append([])
        self.asked[-1].append(document_id)
        # Where the first version is there, the live document is asked for once more.
        self._asks_again = document_id == FIRST and FIRST in self.documents
        if document_id not in self.documents:
            raise CosmosResourceNotFoundError(404, "it is not there")  # type: ignore[no-untyped-call]
        return self.documents[document_id]


async def test_as_long_as_no_version_was_made_it_is_one_question_a_look() -> None:
    one, two = ({"id": CHARTS, "version": version} for version in (1, 2))
    changes: dict[int, dict[str, dict[str, Any] | None]] = {
        3: {CHARTS: one, FIRST: {"id": FIRST}},
        4: {CHARTS: None},
        6: {CHARTS: one},
        7: {CHARTS: two},
    }
    container: Any = Projections(changes)
    container.watch = watch = LiveVersionWatch(container, LiveVersionDocument(id=CHARTS, version=1), look_s=0)
    assert (await watch.run()).version == 2
    one_question, is_gone = [CHARTS], [CHARTS, FIRST, CHARTS]
    assert container.asked == [[CHARTS, FIRST], *[one_question] * 3, is_gone, is_gone, one_question, one_question]
    assert container.reasons == [0, 0, 0, 0, 0, 1, 1, 0], "of the document that is gone, until it is there again"
