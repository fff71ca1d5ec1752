"""A worker parks records without listeners who were forgotten after it had read them: it may have been stopped."""

from typing import Any, cast

from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.parking_bound import ParkingBound
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.processors.runtime.record_parker import RecordParker
from songline.schemas.channels import MUSIC_EVENTS
from songline.schemas.errors import PoisonError
from tests.unit.trending.test_parking_queue import NOW, AnnaIsForgotten, Parked


async def test_a_record_is_parked_without_those_who_were_forgotten() -> None:
    """Who is forgotten is asked before each try, and again where that fails."""
    parked, nothing = Parked(), cast(Any, None)
    parker = RecordParker(
        "library",
        MUSIC_EVENTS,
        "0",
        cast(Any, parked),
        ParkingBound(),
        nothing,
        PersistentRetry("tests"),
        AnnaIsForgotten(fails=1),
        lambda: NOW,
    )
    records = [HubRecord(position, NOW, b"anna!") for position in (4, 5, 6)]
    why = {position: PoisonError("not-an-event", "data.userId: saw 'anna'") for position in (5, 6)}
    await parker.park_poison(records, why)
    found = {one.position: (one.body_beginning, one.readers["library"].detail) for one in parked.found}
    assert found == {
        5: (b"forgotten:1!", "data.userId: saw 'forgotten:1'"),
        6: (b"anna!", "data.userId: saw 'anna'"),
    }
