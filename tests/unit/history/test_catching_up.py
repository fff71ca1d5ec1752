"""A rebuild switches once its version is near enough, and builds it on until then."""

from datetime import UTC, datetime

import pytest

from songline.processors.history.rebuild.catching_up import CATCHING_UP_S, switch_once_near
from songline.processors.history.versions.lag import VersionLag
from songline.processors.history.versions.switching import SwitchRefusedError, VersionBehindError, VersionSwitch
from songline.schemas.channels import SONGS
from songline.schemas.projections import VersionDocument, version_id

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LIVE = VersionSwitch(
    1,
    VersionDocument(id=version_id(SONGS, 2), projection=SONGS, version=2, state="live", since=NOON, started_at=NOON),
    VersionLag(0, 0.0),
)


class BusyMachine:
    """A version that is too far behind until it was built on `folds` times, each of which takes `fold_s` seconds."""

    def __init__(self, folds: int, fold_s: float) -> None:
        self.now_s = 1_000.0
        self.said: list[str] = []
        self._folds = folds
        self._fold_s = fold_s

    async def switch(self) -> VersionSwitch:
        if len(self.said) < self._folds:
            lag = str(VersionLag(429, 14.0))
            raise VersionBehindError(f"version 2 of songs is too far behind: {lag}. Build on", lag)
        return LIVE

    async def build_on(self, error: VersionBehindError) -> None:
        self.now_s += self._fold_s
        self.said.append(error.behind)

    async def switched(self) -> VersionSwitch:
        return await switch_once_near(self.switch, self.build_on, lambda: self.now_s)


async def test_a_version_is_built_on_until_it_is_near() -> None:
    """As often as a busy machine needs: each time it says how far the version is behind."""
    machine = BusyMachine(folds=12, fold_s=40.0)
    assert await machine.switched() is LIVE
    assert machine.said == ["429 events behind, the oldest 14 s old"] * 12


async def test_it_ends_where_the_machine_stays_too_busy() -> None:
    machine = BusyMachine(folds=100, fold_s=40.0)
    with pytest.raises(VersionBehindError, match="too far behind: 429 events"):
        await machine.switched()
    assert len(machine.said) == CATCHING_UP_S / 40.0


async def test_what_no_fold_mends_is_refused_at_once() -> None:
    """Folding again would begin a version of its own where somebody else has made this one live."""
    machine = BusyMachine(folds=0, fold_s=40.0)

    async def switch() -> VersionSwitch:
        raise SwitchRefusedError("version 2 of songs is live already")

    with pytest.raises(SwitchRefusedError, match="is live already"):
        await switch_once_near(switch, machine.build_on, lambda: machine.now_s)
    assert machine.said == []
