"""A worker's watch over who was forgotten outlasts whatever its looks raise."""

import asyncio
from typing import Any, cast

import pytest

from songline.processors.history.erasure import forgotten_watch
from songline.processors.history.erasure.forgotten_watch import ForgottenWatch
from songline.schemas.erasures import Erasure
from tests.support.waiting import wait_for_async


class FailingOnce:
    """Erasures whose first look fails in a way that nobody foresaw."""

    looks = 0

    async def keyed(self) -> list[Erasure]:
        self.looks += 1
        if self.looks == 1:
            raise ValueError("nobody foresaw it")
        return []

    async def is_read_again(self) -> bool:
        return self.looks > 1


async def test_a_look_that_fails_does_not_end_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgotten_watch, "LOOK_S", 0.01)
    erasures = FailingOnce()
    watching = asyncio.create_task(ForgottenWatch(cast(Any, erasures), cast(Any, None)).run())
    try:
        await wait_for_async(erasures.is_read_again, "a second look")
        assert not watching.done()
    finally:
        watching.cancel()
        await asyncio.wait((watching,))
