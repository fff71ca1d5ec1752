"""What a rebuild passed over is counted once, also where one that was killed finds it again."""

from hypothesis import given
from hypothesis import strategies as st

from songline.processors.history.archive.errors import Hole
from songline.processors.history.rebuild import missing
from songline.processors.history.rebuild.missing import MissingEvents
from songline.schemas.progress import lasting_position

holes = st.builds(
    lambda partition, generation, first, size: Hole(partition, generation, first, first + size - 1),
    st.sampled_from(["0", "1", "12"]),
    st.integers(0, 2),
    st.integers(0, 60),
    st.integers(1, 30),
)


@given(st.lists(st.lists(holes, max_size=5), max_size=5))
def test_each_position_is_counted_once(runs: list[list[Hole]]) -> None:
    found = MissingEvents(0, {})
    positions = set[tuple[str, int, int]]()
    for run in runs:
        # As the version's document keeps it from one rebuild to the next.
        found = MissingEvents(found.count, found.ranges).with_holes(run)
        positions |= {(one.partition, one.generation, at) for one in run for at in range(one.first, one.last + 1)}
    assert found.count == len(positions)
    kept = {
        (partition, at) for partition, ranges in found.ranges.items() for one in ranges
        for at in range(one.first, one.last + 1)
    }  # fmt: skip
    assert kept == {(partition, lasting_position(generation, at)) for partition, generation, at in positions}


def test_what_is_kept_of_no_place_stays_counted() -> None:
    """A version of a former release has the number alone."""
    found = MissingEvents(7, {}).with_holes([Hole("0", 0, 10, 12)]).with_holes([Hole("0", 0, 11, 14)])
    assert found.count == 12
    many = [Hole("0", 0, 10 * at, 10 * at) for at in range(missing.MAX_RANGES + 5)]
    found = MissingEvents(0, {}).with_holes(many)
    assert (found.count, len(found.ranges["0"])) == (len(many), missing.MAX_RANGES)


def test_it_is_said_where_they_are() -> None:
    found = MissingEvents(0, {}).with_holes([Hole("10", 1, 0, 4), Hole("2", 0, 7, 7), Hole("2", 0, 9, 1_010)])
    assert found.lines() == [
        "partition 2 lacks 1,003 events: 7, 9 to 1010",
        "partition 10 lacks 5 events: 0 to 4 of the hub's generation 1",
    ]
