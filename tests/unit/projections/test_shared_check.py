"""A check that is done once for all who ask."""

import asyncio

import pytest

from songline.projections.http.shared_check import SharedCheck


class Checked:
    """What is checked: it counts, waits for `goes_on`, and fails where it is told to."""

    def __init__(self) -> None:
        self.count = 0
        self.now_s = 100.0
        self.fails = False
        self.is_reached, self.goes_on = asyncio.Event(), asyncio.Event()
        self.goes_on.set()
        self.check = SharedCheck(self._check, lambda: self.now_s, 1.0)

    async def _check(self) -> None:
        self.count += 1
        self.is_reached.set()
        await self.goes_on.wait()
        if self.fails:
            raise ConnectionError(f"away at {self.count}")


async def test_all_who_ask_within_a_second_share_one() -> None:
    checked = Checked()
    for _ in range(100):
        await checked.check()
    assert checked.count == 1
    checked.now_s += 1
    await asyncio.gather(*(checked.check() for _ in range(100)))
    assert checked.count == 2


async def test_a_failure_is_told_to_all_and_not_kept_for_longer() -> None:
    checked = Checked()
    checked.fails = True
    for _ in range(2):
        with pytest.raises(ConnectionError, match="away at 1"):
            await checked.check()
    checked.now_s, checked.fails = 101.0, False
    await checked.check()
    assert checked.count == 2


async def test_who_gives_up_takes_it_from_nobody() -> None:
    checked = Checked()
    checked.goes_on.clear()
    waiting = [asyncio.create_task(checked.check()) for _ in range(3)]
    await checked.is_reached.wait()
    waiting[0].cancel()
    await asyncio.wait([waiting[0]])
    checked.goes_on.set()
    await asyncio.gather(*waiting[1:])
    assert checked.count == 1


async def test_an_answer_is_kept_from_its_end_on() -> None:
    checked = Checked()
    checked.goes_on.clear()
    waiting = asyncio.create_task(checked.check())
    await checked.is_reached.wait()
    checked.now_s += 30
    checked.goes_on.set()
    await waiting
    await checked.check()
    assert checked.count == 1
