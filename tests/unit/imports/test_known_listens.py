"""What is known of a listen that comes again, held to the rule of libraries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from songline.processors.imports.known_listens import (
    KnownListens,
    Sighting,
    TakenListen,
    packed,
    taken_listen,
    unpacked,
)
from songline.schemas.library.action import UserAction
from songline.schemas.library.fold import distinct_listens

NAME = "name:one"
SECOND_MS, MINUTE_MS = 1_000, 60_000


def listen(at_ms: int, song_id: str = NAME, precision_ms: int | None = None) -> TakenListen:
    return taken_listen(NAME, song_id, 1_616_432_100_000 + at_ms, precision_ms)


def known(*at_ms: int, is_own: bool = False, is_this_run: bool = False, song_id: str = NAME) -> KnownListens:
    found = KnownListens()
    page = packed(listen(at, song_id) for at in at_ms)
    found.add_page(page, is_own=is_own, is_this_run=is_this_run)
    return found


def test_a_listen_of_this_file_is_a_duplicate() -> None:
    found = KnownListens()
    sightings = [found.sight(listen(at)) for at in (0, 0, 1_999, 2_000, 4_000)]
    expected = [Sighting.NEW, Sighting.DUPLICATE, Sighting.DUPLICATE, Sighting.NEW, Sighting.NEW]
    assert sightings == expected


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (known(1_000), Sighting.OTHERS),
        (known(1_000, song_id="song-1"), Sighting.OTHER_SONG),
        (known(1_000, is_own=True), Sighting.OWN),
        (known(0, is_own=True, is_this_run=True), Sighting.AGAIN),
        (known(1_000, is_own=True, is_this_run=True), Sighting.NEW),
        (known(0, is_own=False, is_this_run=True), Sighting.OTHERS),
        (known(2_000), Sighting.NEW),
    ],
)
def test_a_listen_of_another_import_is_known(before: KnownListens, expected: Sighting) -> None:
    assert before.sight(listen(0)) is expected
    assert before.sight(listen(0)) is Sighting.DUPLICATE


moments = st.lists(st.tuples(st.integers(0, 200_000), st.booleans()), max_size=12)


@given(moments)
def test_pages_hold_what_was_packed(listens: list[tuple[int, bool]]) -> None:
    taken = [listen(at, precision_ms=MINUTE_MS if coarse else None) for at, coarse in listens]
    assert list(unpacked(packed(taken))) == taken


@pytest.mark.parametrize("page", ["%", "AAAA"])
def test_a_damaged_page_is_told(page: str) -> None:
    with pytest.raises(ValueError):  # base64's own, or ours
        list(unpacked(page))


@effort(100)
@given(moments)
def test_in_the_order_of_their_begin_as_many_are_taken_as_a_library_shows(listens: list[tuple[int, bool]]) -> None:
    """Where all are of one precision: of a coarse and a fine one the order decides which is taken."""
    for coarse in (False, True):
        some = sorted({at for at, is_coarse in listens if is_coarse is coarse})
        rows = [
            UserAction("u", NAME, at * 1_000, at, "coarse" if coarse else "imported", 0, at, import_mark=1)
            for at in some
        ]
        found = KnownListens()
        sightings = [found.sight(taken_listen(NAME, NAME, at, MINUTE_MS if coarse else None)) for at in some]
        assert sightings.count(Sighting.NEW) == len(distinct_listens(rows))
