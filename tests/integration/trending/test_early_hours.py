"""What is sealed of an open hour is loaded before its partition is assigned, and counts once, as what is saved
meanwhile."""

import asyncio

import pytest

from songline.processors.trending.cells.sealed_hours import blob_name
from tests.support.hour_storage import hour_storage
from tests.support.localcloud import LocalCloud
from tests.support.open_hour import HOUR, Successor, save, seal


async def test_what_was_sealed_before_counts_once(song_cloud: LocalCloud) -> None:
    async with hour_storage(song_cloud, "early-before") as stored:
        await seal(stored, range(20))
        successor = Successor(stored)
        await successor.read_early()
        assert await successor.counted(range(20)) == []
        assert await Successor(stored).counted(range(15, 25)) == [25], "also where it is assigned at once"


async def test_what_is_sealed_or_saved_meanwhile_counts_once_too(song_cloud: LocalCloud) -> None:
    async with hour_storage(song_cloud, "early-meanwhile") as stored:
        await seal(stored, range(20))
        successor = Successor(stored)
        await successor.read_early()
        # The owner before lives on for a while: it seals what is known, and what is not.
        await seal(stored, range(10, 30))
        save(stored, range(25, 35))
        assert await successor.counted(range(36)) == [36]


async def test_an_hour_that_is_sealed_first_meanwhile_is_loaded(song_cloud: LocalCloud) -> None:
    async with hour_storage(song_cloud, "early-first") as stored:
        successor = Successor(stored)
        await successor.read_early()
        await seal(stored, range(20))
        assert await successor.counted(range(20)) == []


async def test_an_hour_of_which_the_changelog_says_nothing_is_loaded_anew(song_cloud: LocalCloud) -> None:
    async with hour_storage(song_cloud, "early-unsaid") as stored:
        await seal(stored, range(20))
        successor = Successor(stored)
        await successor.read_early()
        stored.saved.clear()
        assert await successor.counted(range(5)) == [5], "without a mark an hour is in the changelog as a whole"
        again = Successor(stored)
        await again.read_early()
        save(stored, range(30, 35))
        assert await again.counted(range(7)) == [12], "also where chunks are saved of it"


@pytest.mark.parametrize("again", [range(20, 40), range(0)])
async def test_a_blob_that_was_replaced_is_loaded_anew(
    song_cloud: LocalCloud, caplog: pytest.LogCaptureFixture, again: range
) -> None:
    async with hour_storage(song_cloud, f"early-replaced-{len(again)}") as stored:
        await seal(stored, range(20))
        successor = Successor(stored)
        await successor.read_early()
        await stored.container.delete_blob(blob_name(0, HOUR))
        if again:
            await seal(stored, again)
        assert await successor.counted(range(1)) == [len(again) + 1]
        assert "is loaded once more" in caplog.text


async def test_what_nobody_takes_is_loaded_no_longer(song_cloud: LocalCloud) -> None:
    async with hour_storage(song_cloud, "early-dropped") as stored:
        await seal(stored, range(20))
        successor = Successor(stored)
        assert successor.store._early is not None
        loads = [*successor.store._early._partitions[0].loads.values()]
        successor.store.drop_early()
        await asyncio.wait(loads)
        assert all(one.cancelled() for one in loads)
        assert successor.store.take_early(0) is None
