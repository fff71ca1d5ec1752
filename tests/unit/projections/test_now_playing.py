"""What is playing, passed on: to whom it concerns, and never more than a bounded backlog."""

from datetime import UTC, datetime

from songline.projections.live.now_playing import BACKLOG, NEWEST, Broadcast, Playing, stream

NOW = datetime(2026, 11, 22, 14, tzinfo=UTC)


def playing(user: str, song: int) -> Playing:
    return Playing(user_id=user, song_id=f"song-{song}", at=NOW)


async def test_an_ear_hears_everybody_or_one() -> None:
    broadcast = Broadcast()
    with broadcast.listening(None) as everybody, broadcast.listening("a") as one:
        broadcast.publish(playing("a", 1))
        broadcast.publish(playing("b", 2))
        assert (await everybody.read(1)).count(b"event: playing") == 2
        heard = await one.read(1)
        assert heard == (b'event: playing\ndata: {"userId":"a","songId":"song-1","at":"2026-11-22T14:00:00Z"}\n\n')
        assert await one.read(0.01) == b""


async def test_who_reads_slowly_gets_the_newest_and_holds_no_more_than_that() -> None:
    broadcast = Broadcast()
    with broadcast.listening(None) as ear:
        for song in range(10 * BACKLOG):
            broadcast.publish(playing("a", song))
        heard = await ear.read(1)
        assert heard.count(b"event: playing") == BACKLOG
        assert f'"song-{10 * BACKLOG - 1}"'.encode() in heard
        assert await ear.read(0.01) == b""


def test_of_each_listener_the_newest_song_is_remembered_and_of_few_listeners() -> None:
    broadcast = Broadcast()
    for number in range(3 * NEWEST):
        broadcast.publish(playing(f"user-{number}", number))
    again = 3 * NEWEST - 2
    broadcast.publish(playing(f"user-{again}", 1000))
    kept = [number for number in range(2 * NEWEST, 3 * NEWEST) if number != again]
    assert [one.song_id for one in broadcast.newest] == [f"song-{song}" for song in (1000, *reversed(kept))]


async def test_a_stream_says_that_it_listens_and_that_it_lives_and_ends_its_listening() -> None:
    broadcast = Broadcast(most=1)
    listening = stream(broadcast, "a", heartbeat=0.01)
    assert await anext(listening) == b": listening\n\n"
    assert broadcast.is_full
    assert await anext(listening) == b": nothing\n\n"
    broadcast.publish(playing("a", 1))
    assert b"song-1" in await anext(listening)
    await listening.aclose()  # type: ignore[attr-defined]  # an async generator, which the signature does not say
    assert not broadcast.is_full
