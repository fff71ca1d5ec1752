"""Who is refused at the edge, and in which words."""

import pytest

from songline.producers.uploads.owners import is_fact, stranger
from songline.schemas import examples
from songline.schemas.envelope import Event
from songline.schemas.events import SongLiked, SongPlayed
from songline.schemas.ownership import NOBODY
from tests.support.ownership import removed, uploaded

FACTS = [uploaded("bob", "Stolen"), removed("bob")]


@pytest.mark.parametrize("event", FACTS)
@pytest.mark.parametrize("owner", [None, "bob"])
def test_the_owner_and_whoever_is_first_may_speak(event: Event, owner: str | None) -> None:
    assert stranger(event, owner) is None


@pytest.mark.parametrize("event", FACTS)
@pytest.mark.parametrize(("owner", "rule"), [("ann", "the owner of song-1, 'ann'"), (NOBODY, "song-1 has gone")])
def test_a_stranger_is_told_field_value_and_rule(event: Event, owner: str, rule: str) -> None:
    refused = stranger(event, owner)
    assert refused is not None
    assert (refused.violation.field, refused.violation.value) == ("data.userId", '"bob"')
    assert rule in refused.violation.rule


@pytest.mark.parametrize("payload", [SongPlayed, SongLiked])
def test_anybody_may_play_and_like(payload: type) -> None:
    event = examples.EVENTS[payload]
    assert not is_fact(event)
    assert stranger(event, "somebody-else") is None
