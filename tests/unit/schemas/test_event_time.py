"""How far an event's time may be ahead: one rule for the write API and for all readers."""

from datetime import UTC, datetime, timedelta

import pytest

from songline.processors.catalog import fold
from songline.processors.library import actions
from songline.processors.runtime.hub_record import HubRecord
from songline.processors.trending.action_hashes import UserHashes
from songline.processors.trending.cells import columns
from songline.processors.trending.song_index import RegionIndex, SongIndex
from songline.schemas.acceptance import check
from songline.schemas.envelope import Event, encode
from songline.schemas.errors import ContractViolationError, PoisonError
from songline.schemas.event_time import MAX_FUTURE, check_enqueued
from songline.schemas.events import SongRemoved
from songline.schemas.moments import milliseconds

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def removal(time: datetime) -> Event:
    return Event(id="e1", source="urn:test", time=time, data=SongRemoved(user_id="ann", song_id="s1"))


@pytest.mark.parametrize("later", [timedelta(0), timedelta(milliseconds=999)])
@pytest.mark.parametrize(("time", "fits"), [(NOON + MAX_FUTURE, True), (NOON + MAX_FUTURE + TICK, False)])
def test_every_door_and_every_reader_draws_the_line_in_one_place(time: datetime, fits: bool, later: timedelta) -> None:
    """It is that of the second: an archive has no finer times."""
    event = removal(time)
    body = encode(event)
    received = NOON + later
    record = HubRecord(7, received, body)
    assert (7 not in fold.parse_songs([record]).poison) is fits
    assert (7 not in actions.parse_actions(0, [record]).poison) is fits
    trending = columns.read_batch([body], [milliseconds(received)], SongIndex(), RegionIndex(), UserHashes())
    assert bool(not trending.poison) is fits
    if fits:
        check(event, received)
        check_enqueued(time, received)
        return
    with pytest.raises(ContractViolationError, match="time"):
        check(event, received)
    with pytest.raises(PoisonError, match="over an hour after it was logged"):
        check_enqueued(time, received)


def test_a_record_whose_log_time_is_not_known_keeps_its_time() -> None:
    check_enqueued(NOON + 2 * MAX_FUTURE, None)
