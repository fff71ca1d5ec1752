"""What a player has just written is in what it reads next, by whatever protocol."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi import FastAPI

from songline.players.listenbrainz.player_library import PlayerLibrary
from songline.players.listenbrainz.submitting import ListenTaker
from songline.players.own_writes import LASTS, WrittenPositions, wait_for_libraries
from songline.players.tokens.player_token import PLAYER_SCOPES, new_token
from songline.producers.http.event_intake import EventResult, IntakeResult
from songline.projections.library.lists import LibraryLists
from songline.schemas.library.fold import fold_actions
from songline.schemas.permission import Permission
from songline.schemas.progress import Watermark

NOW = datetime(2026, 11, 29, 12, 0, 0, 123456, tzinfo=UTC)


class Libraries:
    """Libraries that have applied one event more at each question; `read_at` are the positions when one was read."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.read_at: list[int] = []

    async def live(self, projection: str) -> None:
        """The live version."""

    async def watermarks(self, served: None, created_at: datetime | None) -> Mapping[str, Watermark]:
        self.position += 1
        return {"1": Watermark(position=self.position, through=NOW)}

    async def read(self, served: None, user_id: str) -> LibraryLists:
        self.read_at.append(self.position)
        return LibraryLists(fold_actions(()))

    async def songs(self) -> Any:
        """The live version of songs, none of which has a title."""

        async def of(song_ids: Iterable[str]) -> Mapping[str, None]:
            return dict.fromkeys(song_ids)

        return SimpleNamespace(titles=SimpleNamespace(of=of))

    def app(self) -> FastAPI:
        songs = SimpleNamespace(live=self.songs)
        state = SimpleNamespace(versions=self, libraries=self, hub=None, songs=songs)
        return cast(FastAPI, SimpleNamespace(state=state))


READS: dict[str, Callable[[PlayerLibrary], Any]] = {
    "listens": lambda library: library.listens("ada", 0, None, None),
    "listen-count": lambda library: library.count("ada"),
    "get-feedback": lambda library: library.feedback("ada", 1, 0, with_metadata=False, score=None),
}


class Endpoint:
    """Takes events, the last one at position 7 of partition 1."""

    async def take(self, bodies: list[bytes], permission: Permission) -> IntakeResult:
        return IntakeResult(
            results=[EventResult(index=index, status="sent") for index in range(len(bodies))], position={"1": 7}
        )


@pytest.mark.parametrize("read", READS)
async def test_libraries_are_read_once_they_have_the_like(read: str) -> None:
    written, libraries = WrittenPositions(), Libraries(5)
    token = new_token("ada", "phone", PLAYER_SCOPES, NOW, bytes).token
    permission = Permission("ada", for_subject=True, for_everybody=False)
    others: Any = None
    taker = ListenTaker(cast(Any, Endpoint()), others, others, written, None, token, permission, {})
    await taker.like("song-1", NOW, is_liked=True)
    await READS[read](PlayerLibrary(libraries.app(), written, NOW))
    assert libraries.read_at == [7]
    later = Libraries(5)
    await READS[read](PlayerLibrary(later.app(), written, NOW + LASTS))
    assert later.read_at == [5], "what is long ago is not asked for"


async def test_what_is_late_is_served_as_it_is() -> None:
    libraries = Libraries(5)
    await wait_for_libraries(libraries.app(), {"1": 1_000}, wait_s=0)
    assert libraries.position == 6


def test_positions_are_remembered_for_a_while() -> None:
    written = WrittenPositions()
    assert written.of("ada", NOW) == {}
    written.remember("ada", {"1": 5}, NOW)
    written.remember("ada", {"2": 7}, NOW)
    assert written.of("ada", NOW) == {"1": 5, "2": 7}
    assert written.of("eve", NOW) == {}
    assert written.of("ada", NOW + LASTS) == {}


def test_of_two_likes_the_later_position_is_waited_for_in_whatever_order_they_are_answered() -> None:
    written, soon = WrittenPositions(), NOW + timedelta(seconds=20)
    written.remember("ada", {"1": 9}, NOW)
    written.remember("ada", {"1": 7, "2": 3}, soon)
    assert written.of("ada", soon) == {"1": 9, "2": 3}
    # Each is forgotten by its own time.
    assert written.of("ada", NOW + LASTS) == {"2": 3}
    written.remember("ada", {"1": 1}, NOW + LASTS)
    assert written.of("ada", NOW + LASTS) == {"1": 1, "2": 3}
