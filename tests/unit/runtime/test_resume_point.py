"""Positions against the hub as it is: what can't be gone on from, what mends it, and that nothing is passed over."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from songline.processors.runtime.gap_detection import following_events
from songline.processors.runtime.resume_point import HubMismatch, HubState, ResumePoint, reset_watermark, resume_point
from songline.schemas.progress import Watermark
from songline.schemas.progress_report import NotReadyCause

MADE = datetime(2026, 11, 22, 14, tzinfo=UTC)
ANEW = MADE + timedelta(milliseconds=1)
PLACE = "music-events/2"


def at(position: int, created_at: datetime | None = MADE, generation: int = 0, resets: int = 0) -> Watermark:
    return Watermark(position=position, through=MADE, created_at=created_at, generation=generation, resets=resets)


def cause(noted: Watermark | None, hub: HubState) -> NotReadyCause | None:
    found = resume_point(noted, hub, PLACE)
    return found.cause if isinstance(found, HubMismatch) else None


def test_a_position_of_the_hub_goes_on_behind_it() -> None:
    assert resume_point(at(7), HubState(MADE, 0, 9), PLACE) == ResumePoint(at(7), 8)
    assert resume_point(at(9), HubState(MADE, 10, 9), PLACE) == ResumePoint(at(9), 10)
    # Kept by a reader that did not know when the hub was created.
    assert resume_point(at(7, None), HubState(MADE, 0, 9), PLACE) == ResumePoint(at(7), 8)


def test_a_reader_that_applied_nothing_begins_with_what_there_is() -> None:
    found = resume_point(None, HubState(MADE, 40, 90), PLACE)
    assert isinstance(found, ResumePoint)
    assert (found.next_position, found.watermark.created_at) == (40, MADE)
    assert cause(at(-1), HubState(ANEW, 0, 5)) is None


def test_each_mismatch_names_partition_own_position_and_the_hubs_first_and_last() -> None:
    cases = {
        NotReadyCause.HUB_MADE_ANEW: (at(7), HubState(ANEW, 0, 20)),
        NotReadyCause.BEYOND_END: (at(7), HubState(MADE, 0, 5)),
        NotReadyCause.RETENTION_PASSED: (at(7), HubState(MADE, 11, 20)),
    }
    for expected, (noted, hub) in cases.items():
        found = resume_point(noted, hub, PLACE)
        assert isinstance(found, HubMismatch)
        assert found.cause is expected
        for part in (PLACE, "own position 7", f"{hub.first} to {hub.last}"):
            assert part in found.sentence
    retention = resume_point(at(7), HubState(MADE, 11, 20), PLACE)
    assert isinstance(retention, HubMismatch)
    assert "3 events were deleted" in retention.sentence


moments = st.sampled_from([None, MADE, ANEW])
reached = st.builds(at, st.integers(-1, 50), moments, st.integers(0, 3), st.integers(3, 5)) | st.none()
small = st.integers(0, 50)
hubs = st.builds(lambda made, first, size: HubState(made, first, first + size - 1), moments.filter(bool), small, small)


@given(reached, hubs)
def test_after_a_reset_the_reader_goes_on_from_the_first_event(noted: Watermark | None, hub: HubState) -> None:
    before, after = resume_point(noted, hub, PLACE), reset_watermark(noted, hub)
    found = resume_point(after, hub, PLACE)
    assert isinstance(found, ResumePoint)
    assert found.next_position == hub.first
    assert after.resets == (noted.resets if noted else 0) + 1
    anew = isinstance(before, HubMismatch) and before.cause is not NotReadyCause.RETENTION_PASSED
    # Positions of the same hub stay comparable: what was applied is found applied.
    assert (after.generation != (noted.generation if noted else 0)) == anew
    if isinstance(before, HubMismatch) and not anew:
        assert noted is not None
        assert after.lost == hub.first - noted.position - 1


@given(st.integers(0, 20), st.lists(st.integers(0, 30), max_size=40))
def test_what_follows_is_each_event_once_in_order_up_to_a_gap(expected: int, positions: list[int]) -> None:
    found = following_events(expected, positions)
    taken = [positions[index] for index in found.fresh]
    assert taken == list(range(expected, expected + len(taken)))
    following = expected + len(taken)
    if found.gap is None:
        assert all(position < following for position in positions)
    else:
        assert found.gap > following
        assert found.gap in positions
