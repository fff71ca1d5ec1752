"""Each event of a request has a result of its own, whatever stands beside it; ids are known again for a while."""

import asyncio
import json
import tempfile
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from songline.cloud.settings import EventHubsSettings, Secret
from songline.producers import EventPublisher
from songline.producers.http.body_memory import BodyMemory
from songline.producers.http.event_intake import EventIntake, IntakeResult
from songline.producers.http.problems import RequestDeclinedError
from songline.producers.http.recent_events import RecentEvents
from songline.producers.publishing.hub_end import HubEnds
from songline.producers.uploads.first_uploaders import FirstUploaders
from songline.producers.uploads.owners import SongOwners
from songline.schemas.envelope import Event
from songline.schemas.errors import ContractViolationError
from songline.schemas.events import SongLiked
from songline.schemas.permission import Permission

NOW = datetime(2026, 11, 22, 14, tzinfo=UTC)
# Nobody listens there: everything that is accepted goes to the outbox.
NOWHERE = EventHubsSettings(
    connection=Secret("Endpoint=sb://127.0.0.1:9;SharedAccessKeyName=R;SharedAccessKey=S;UseDevelopmentEmulator=true"),
    host="127.0.0.1",
    kafka="127.0.0.1:9",
    plaintext=True,
)


def liked(id_: int, song: int = 0, **attributes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"e-{id_}",
        "source": "/tests",
        "type": "songline.song.liked.v1",
        "time": NOW.isoformat(),
        "data": {"userId": f"user-{id_ % 3}", "songId": f"song-{song}"},
        **attributes,
    }


class NoneYet(SongOwners):
    """No document says whose the songs are; those of `unknown` could not be asked for."""

    def __init__(self, *unknown: str) -> None:
        self._unknown = unknown

    async def of(self, song_ids: Collection[str]) -> dict[str, str | None]:
        return {song_id: None for song_id in song_ids if song_id not in self._unknown}


async def take(
    folder: Path, *requests: list[Any], outbox_events: int = 1_000, owners: SongOwners | None = None
) -> tuple[list[IntakeResult], list[str]]:
    """What each request is answered with, and the ids in the outbox afterwards."""
    publisher = EventPublisher(NOWHERE, outbox=folder / "outbox.db", outbox_events=outbox_events, now=lambda: NOW)
    async with publisher:
        intake = EventIntake(
            publisher, HubEnds(NOWHERE, "hub", publisher.partitions), RecentEvents(), lambda: NOW, owners
        )
        taken = [await intake.accept([json.dumps(item).encode() for item in items]) for items in requests]
        assert publisher._spillover is not None
        kept = publisher._spillover.outbox.read(0, 1_000)
        return taken, [json.loads(each.body)["id"] for each in kept]


good = st.integers(0, 5).map(liked)
other = st.integers(0, 5).map(lambda id_: liked(id_, song=7))
bad = st.sampled_from([17, {}, liked(1, type="songline.song.hummed.v1"), liked(2, time="soon"), [liked(3)]])


@given(st.lists(st.lists(st.one_of(good, other, bad), max_size=8), min_size=1, max_size=3))
@effort(5)
def test_results_are_those_of_each_event_alone(requests: list[list[Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        taken, kept = asyncio.run(take(Path(folder), *requests))
    first: dict[str, str] = {}
    accepted = []
    for items, answer in zip(requests, taken, strict=True):
        assert [result.index for result in answer.results] == list(range(len(items)))
        assert answer.position == {}
        for item, result in zip(items, answer.results, strict=True):
            if not isinstance(item, dict) or "hummed" in str(item) or item.get("time") != NOW.isoformat():
                assert (result.status, result.error is None) == ("refused", False)
                continue
            song = item["data"]["songId"]
            known = first.setdefault(item["id"], song)
            assert result.id == item["id"]
            if known != song:
                assert result.status == "refused"
                assert result.error is not None
                assert result.error.field == "id"
            else:
                assert (result.status, result.duplicate) == ("kept", item["id"] in accepted)
                if not result.duplicate:
                    accepted.append(item["id"])
    assert kept == accepted


async def test_what_finds_no_room_fails_and_may_be_sent_again(tmp_path: Path) -> None:
    batch = [liked(number) for number in range(4)]
    (first, again), kept = await take(tmp_path, batch, batch, outbox_events=2)
    assert [result.status for result in first.results] == ["kept", "kept", "failed", "failed"]
    assert "see why the hub is away" in first.failure
    assert [(result.status, result.duplicate) for result in again.results] == [
        *[("kept", True), ("kept", True), ("failed", False), ("failed", False)]
    ]
    assert kept == ["e-0", "e-1"]


def test_too_much_at_a_time_is_503_and_passes() -> None:
    memory = BodyMemory(max_bytes=100)
    small = {"type": "http", "headers": [(b"content-length", b"60")]}
    with memory.reserved(small, 90):
        with pytest.raises(RequestDeclinedError) as caught, memory.reserved(small, 90):
            pass
        assert (caught.value.status, caught.value.retry_after) == (503, 2)
    # A sender that does not say how long the body is may send as much as is allowed.
    with memory.reserved({"type": "http", "headers": []}, 90):
        pass


def event(id_: str, song: str = "song") -> Event:
    return Event(id=id_, source="/tests", time=NOW, data=SongLiked(user_id="user", song_id=song))


ANA = "ana"


async def test_what_one_caller_has_sent_says_nothing_of_anothers(tmp_path: Path) -> None:
    """Who knows in advance by which id another's event will come can't have it taken."""
    recent = RecentEvents()
    done = asyncio.get_running_loop().create_future()
    recent.remember(event("a", "another song"), "eve", done)
    assert recent.find(event("a"), ANA) is None
    assert recent.find(event("a", "another song"), "eve") is done
    publisher = EventPublisher(NOWHERE, outbox=tmp_path / "outbox.db", now=lambda: NOW)
    async with publisher:
        intake = EventIntake(publisher, HubEnds(NOWHERE, "hub", publisher.partitions), RecentEvents(), lambda: NOW)
        bodies = [json.dumps(liked(1, song)).encode() for song in (7, 0, 0)]
        callers = [Permission(who, for_subject=True, for_everybody=True) for who in ("eve", ANA, ANA)]
        taken = [(await intake.accept([body], who)).results[0] for body, who in zip(bodies, callers, strict=True)]
    assert [(one.status, one.duplicate) for one in taken] == [("kept", False), ("kept", False), ("kept", True)]


async def test_recent_forgets_the_oldest_and_what_failed() -> None:
    recent, loop = RecentEvents(capacity=2), asyncio.get_running_loop()
    done = {name: loop.create_future() for name in "abc"}
    for name in "ab":
        recent.remember(event(name), ANA, done[name])
    assert recent.find(event("a"), ANA) is done["a"]
    with pytest.raises(ContractViolationError, match="id: saw"):
        recent.find(event("a", "another song"), ANA)
    done["a"].set_result("kept")
    done["b"].set_exception(RuntimeError("gone"))
    await asyncio.sleep(0)
    assert (recent.find(event("a"), ANA), recent.find(event("b"), ANA)) == ("kept", None)
    recent.remember(event("b"), ANA, loop.create_future())
    recent.remember(event("c"), ANA, done["c"])
    assert recent.find(event("a"), ANA) is None


def fact(id_: int, kind: str, user: str, song: str = "song-new") -> dict[str, Any]:
    data: dict[str, Any] = {"userId": user, "songId": song}
    if kind == "uploaded":
        data |= {"title": f"By {user}", "artist": "Somebody", "durationMs": 1_000}
    return liked(id_, type=f"songline.song.{kind}.v1", data=data)


@pytest.mark.parametrize("requests", [1, 3])
async def test_a_song_of_a_moment_ago_is_its_first_uploaders(tmp_path: Path, requests: int) -> None:
    """No document knows the song yet, and the hub may take all of these in one second."""
    events = [fact(1, "uploaded", "ann"), fact(2, "uploaded", "bob"), fact(3, "removed", "bob")]
    parts = [events] if requests == 1 else [[event] for event in events]
    taken, kept = await take(tmp_path, *parts, [fact(4, "removed", "ann")], owners=NoneYet())
    results = [result for each in taken for result in each.results]
    assert [result.status for result in results] == ["kept", "refused", "refused", "kept"]
    assert results[1].error is not None
    assert (results[1].error.field, results[1].error.value) == ("data.userId", '"bob"')
    assert kept == ["e-1", "e-4"]


async def test_a_song_that_could_not_be_asked_for_is_left_to_the_fold(tmp_path: Path) -> None:
    """Or a stranger who comes first while Cosmos DB is away would keep its owner out."""
    events = [fact(1, "uploaded", "bob"), fact(2, "uploaded", "ann")]
    taken, _ = await take(tmp_path, *[[event] for event in events], owners=NoneYet("song-new"))
    assert [result.status for each in taken for result in each.results] == ["kept", "kept"]


async def test_a_song_that_was_not_accepted_is_nobodys(tmp_path: Path) -> None:
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    uploaders = FirstUploaders(capacity=2)
    uploaders.remember("song-1", "ann", done)
    uploaders.remember("song-1", "bob", done)
    assert uploaders.of("song-1") == "ann"
    done.set_exception(OSError("away"))
    await asyncio.sleep(0)
    assert uploaders.of("song-1") is None
    kept: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    for number in range(3):
        uploaders.remember(f"song-{number}", "ann", kept)
    assert [uploaders.of(f"song-{number}") for number in range(3)] == [None, "ann", "ann"]
