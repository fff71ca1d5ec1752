"""Steps of an upload, and which of them a stream still has to tell."""

from datetime import UTC, datetime, timedelta

import pytest

from songline.projections.ingestions.queries import mark, settled, shown, steps, unseen
from songline.schemas.commands import Upload
from songline.schemas.ingestions import Ingestion, State, Transition

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
WAY: tuple[State, ...] = ("received", "queued", "processing", "ready")


def ingestion(*states: State, history: bool = True) -> Ingestion:
    way = tuple(Transition(state=state, at=NOON + timedelta(seconds=at)) for at, state in enumerate(states))
    return Ingestion(
        id="i-1",
        user_id="user-7",
        state=states[-1],
        received_at=NOON,
        updated_at=way[-1].at,
        upload=Upload(sha256="ab" * 32, size=5, content_type="audio/wav", blob="i-1"),
        history=way if history else (),
        outbox=({"id": "secret"},),
    )


@pytest.mark.parametrize("seen", range(len(WAY)))
def test_what_was_seen_is_not_told_again(seen: int) -> None:
    way = ingestion(*WAY)
    assert [step.state for step in unseen(way.history, mark(way.history[seen]))] == list(WAY[seen + 1 :])


@pytest.mark.parametrize("seen", [None, "", "nonsense", "2026-11-22T12:00:01.000000+00:00/ready"])
def test_without_a_mark_that_is_known_all_is_told(seen: str | None) -> None:
    way = ingestion(*WAY)
    assert unseen(way.history, seen) == way.history


def test_a_document_without_history_has_one_step() -> None:
    only = ingestion("received", history=False)
    assert steps(only) == (Transition(state="received", at=NOON),)
    assert unseen(steps(only), mark(steps(only)[0])) == ()


def test_only_who_has_seen_a_final_state_has_seen_all() -> None:
    done, dead = ingestion(*WAY), ingestion("received", "dead")
    again = ingestion("received", "dead", "processing")
    assert settled(done, mark(done.history[-1]))
    assert settled(dead, mark(dead.history[-1]))
    assert not settled(done, mark(done.history[-2]))
    assert not settled(done, None)
    assert not settled(again, mark(again.history[-1]))
    assert [step.state for step in unseen(steps(again), mark(dead.history[-1]))] == ["processing"]


def test_what_is_the_workers_own_is_not_shown() -> None:
    answer = shown(ingestion(*WAY), NOON)
    assert not hasattr(answer, "outbox")
    assert not hasattr(answer, "upload")
    assert (answer.as_of, answer.size, answer.state) == (NOON, 5, "ready")
