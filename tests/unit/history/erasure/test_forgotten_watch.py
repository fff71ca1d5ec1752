"""A worker's watch over who was forgotten outlasts whatever its looks raise."""

from typing import Any, cast

import pytest

from songline.processors.history.erasure.forgotten_watch import ForgottenWatch
from songline.processors.runtime.repeated_look import looking
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


async def test_a_look_that_fails_does_not_end_the_watch(caplog: pytest.LogCaptureFixture) -> None:
    erasures = FailingOnce()
    watch = ForgottenWatch(cast(Any, erasures), cast(Any, None))
    async with looking(watch.refresh, 0.01, "who was forgotten"):
        await wait_for_async(erasures.is_read_again, "a second look")
        looks = erasures.looks

        async def goes_on() -> bool:
            return erasures.looks > looks

        await wait_for_async(goes_on, "the watch to go on")
    assert "who was forgotten can't be read" in caplog.text
