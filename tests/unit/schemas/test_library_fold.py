"""A library is a fold of a set of actions: what counts, and that order, runs and copies change nothing."""

from collections.abc import Sequence
from itertools import pairwise
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.schemas.library.action import Kind, UserAction, merge_actions
from songline.schemas.library.action_run import decode_run, encode_run
from songline.schemas.library.fold import RECENT, FoldedLibrary, FoldedSong, fold_actions, fold_window, heard_listens
from tests.support.folded_reference import expected_library

USER = "user-7"
EVENT_KINDS: tuple[Kind, ...] = ("listen", "listen", "imported", "like", "unlike", "upload", "remove")


def action(
    position: int,
    kind: Kind = "listen",
    song_id: str = "song-1",
    at_us: int = 0,
    *,
    mark: int | None = None,
    partition: int = 1,
    ms_played: int = 40_000,
    again: bool = False,
) -> UserAction:
    mark = position if mark is None else mark
    return UserAction(USER, song_id, at_us, mark, kind, partition, position, ms_played, again)


def carried(song_id: str, plays: int, first_us: int, last_us: int, mark: int = 0) -> UserAction:
    return UserAction(USER, song_id, last_us, mark, "carried", 0, 0, plays * 1_000, plays=plays, first_us=first_us)


def song(library: FoldedLibrary, song_id: str = "song-1") -> FoldedSong | None:
    return next((each for each in library.songs if each.song_id == song_id), None)


def test_a_listener_without_actions_has_an_empty_library() -> None:
    assert fold_actions([]) == FoldedLibrary((), 0, 0, 0, 0, 0, None, None, ())


def test_listens_are_counted_by_song_and_in_sum() -> None:
    library = fold_actions([action(0, at_us=30), action(1, song_id="song-2", at_us=20), action(2, at_us=10)])
    assert library.songs == (
        FoldedSong("song-1", 2, 80_000, 10, 30, None, None),
        FoldedSong("song-2", 1, 40_000, 20, 20, None, None),
    )
    assert (library.listens, library.ms_played, library.heard, library.liked) == (3, 120_000, 2, 0)
    assert (library.first_us, library.last_us) == (10, 30)
    assert library.recent == ((30, "song-1", 40_000), (20, "song-2", 40_000), (10, "song-1", 40_000))


@pytest.mark.parametrize("between", [0, 1, 64, 200])
def test_a_listen_is_known_again_however_old_it_is(between: int) -> None:
    others = [action(number, at_us=number) for number in range(1, between + 1)]
    copy = action(between + 1, mark=0)
    assert fold_actions([action(0), *others, copy]).listens == between + 1
    assert fold_actions([copy, *others, action(0)]).listens == between + 1


def test_a_listen_is_known_again_in_another_partition() -> None:
    assert fold_actions([action(0, partition=1), action(0, partition=2)]).listens == 1


def test_two_listens_of_a_song_at_one_moment_are_told_apart_by_their_events() -> None:
    assert fold_actions([action(0, mark=1), action(1, mark=2)]).listens == 2


def test_a_listen_of_unknown_length_counts() -> None:
    library = fold_actions([action(0, ms_played=0), action(1)])
    assert (library.listens, library.ms_played, library.recent[-1][2]) == (2, 40_000, 0)


def test_an_imported_listen_counts_at_its_own_date() -> None:
    library = fold_actions(
        [action(0, at_us=50), action(1, "imported", at_us=-5_000_000), action(2, "imported", mark=1, at_us=-5_000_000)]
    )
    assert song(library) == FoldedSong("song-1", 2, 80_000, -5_000_000, 50, None, None)


def test_a_window_has_what_was_heard_in_it() -> None:
    """Likes are of no moment of listening, and what was taken back stays so."""
    taken_back = action(3, "imported", at_us=20)._replace(import_mark=7)
    undone = UserAction("user-7", "", 99, 9, "undone", 0, 9, import_mark=7)
    rows = [action(0, at_us=10), action(1, at_us=20), action(2, "like", at_us=20), taken_back, undone]
    for since_us, until_us, listens in ((None, None, 2), (20, None, 1), (None, 20, 1), (11, 20, 0), (10, 21, 2)):
        found = fold_window(rows, since_us, until_us)
        assert (found.listens, found.liked) == (listens, 0)


def test_a_listen_that_is_told_twice_is_in_one_window() -> None:
    """Whoever pages by moments, or adds up years, meets it once."""
    second_us = 1_000_000
    rows = [action(0, "imported", at_us=9 * second_us), action(1, at_us=10 * second_us)]
    for cut_us in range(8 * second_us, 12 * second_us, second_us // 2):
        windows = ((None, cut_us), (cut_us, None))
        assert sum(fold_window(rows, *window).listens for window in windows) == 1
        assert [one for window in windows for one in heard_listens(rows, *window)] == heard_listens(rows)


def test_a_listen_that_many_imports_brought_is_merged_in_a_moment() -> None:
    """A sender may give all its imports the same event, and a new import id each time."""
    rows = [
        action(position, "imported", mark=5)._replace(import_mark=position % 9_000 + 1) for position in range(18_000)
    ]
    began_s = process_time()
    merged = merge_actions([rows])
    assert process_time() - began_s < 1
    assert [row.position for row in merged] == list(range(9_000))
    assert fold_actions(rows).listens == 1


def test_the_last_like_of_a_partition_holds_whatever_its_time() -> None:
    like, unlike = action(0, "like", at_us=20), action(1, "unlike", at_us=10)
    assert song(fold_actions([unlike, like])) is None
    # A copy of the first one is no later statement.
    assert song(fold_actions([like, unlike, action(2, "like", at_us=20, mark=0)])) is None
    again = song(fold_actions([like, unlike, action(2, "like", at_us=5)]))
    assert again is not None
    assert again.liked_us == 5


def test_between_partitions_the_later_time_holds_then_the_higher_partition() -> None:
    like = action(9, "like", at_us=20, partition=1)
    assert fold_actions([like, action(0, "unlike", at_us=19, partition=2)]).liked == 1
    assert fold_actions([like, action(0, "unlike", at_us=20, partition=2)]).liked == 0
    assert fold_actions([like, action(0, "unlike", at_us=20, partition=0)]).liked == 1


@pytest.mark.parametrize(("at_us", "liked"), [(1, 0), (2, 0), (3, 1)])
def test_a_like_that_is_sent_again_replaces_nothing_later(at_us: int, liked: int) -> None:
    unlike, like = action(0, "unlike", at_us=2), action(1, "like", at_us=at_us, again=True)
    assert fold_actions([unlike, like]).liked == liked
    assert fold_actions([unlike, like, action(2, "unlike", at_us=0)]).liked == 0


def test_a_song_in_no_list_is_no_song_of_the_library() -> None:
    assert fold_actions([action(0, "upload"), action(1, "remove"), action(2, "unlike", "song-2")]).songs == ()


def test_carried_sums_count_with_what_comes_after_them() -> None:
    old = [carried("song-1", 12, 100, 900), action(7, "like", at_us=5), UserAction(USER, "", 0, 0, "applied", 1, 7)]
    library = fold_actions([*old, action(8, at_us=950)])
    assert song(library) == FoldedSong("song-1", 13, 12_000 + 40_000, 100, 950, 5, None)
    # The moments of twelve listens are not known; that of one is.
    assert library.recent == ((950, "song-1", 40_000),)
    assert fold_actions([carried("song-1", 1, 70, 70)]).recent == ((70, "song-1", 1_000),)


@pytest.mark.parametrize("kind", ["imported", "coarse"])
def test_a_listen_that_was_carried_over_and_comes_in_a_history_counts_once(kind: Kind) -> None:
    """A history has the last listens before the upgrade, too. Of those that are a sum no moment is known."""
    old = [carried("song-1", 1, 70_000_000, 70_000_000), carried("song-1", 12, 100, 900, mark=1)]
    library = fold_actions([*old, action(0, kind, at_us=70_000_000), action(1, kind, at_us=200_000_000)])
    assert library.listens == 14
    assert [at_us for at_us, _, _ in library.recent] == [200_000_000, 70_000_000]


def test_an_event_that_is_in_the_carried_sums_is_not_counted_again() -> None:
    old = [
        carried("song-1", 12, 100, 900),
        action(7, "like", at_us=5),
        UserAction(USER, "", 0, 0, "applied", 1, 7),
        UserAction(USER, "", 0, 77, "known", 1, 7),
    ]
    read_again = [action(5, at_us=900), action(6, "unlike", at_us=850)]
    sent_again = [action(9, at_us=900, mark=77)]
    library = fold_actions([*old, *read_again, *sent_again])
    assert (library.listens, library.liked) == (12, 1)
    # Another partition's events are not in them.
    assert fold_actions([*old, action(5, at_us=900, partition=2)]).listens == 13


@st.composite
def logs(draw: st.DrawFn) -> list[UserAction]:
    """Logs of up to three partitions; few events, so that some come twice; few moments, so that some are equal."""
    events = draw(
        st.lists(
            st.tuples(
                st.sampled_from(EVENT_KINDS),
                st.sampled_from(["song-1", "song-2", "song-3"]),
                st.integers(-3, 3),
                st.integers(0, 5),
            ),
            min_size=1,
            max_size=30,
        )
    )
    places = st.tuples(st.integers(0, 2), st.sampled_from(events), st.booleans())
    log = []
    for position, (partition, (kind, song_id, at_us, mark), again) in enumerate(draw(st.lists(places, max_size=60))):
        # The length of a listen is of its event.
        ms_played = 1_000 * mark
        log.append(
            action(position, kind, song_id, at_us, mark=mark, partition=partition, again=again, ms_played=ms_played)
        )
    return log


@given(log=logs(), data=st.data())
def test_any_order_split_and_repetition_come_to_the_reference(log: list[UserAction], data: st.DataObject) -> None:
    given_again = data.draw(st.lists(st.sampled_from(log), max_size=20)) if log else []
    rows = data.draw(st.permutations([*log, *given_again]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    parts: list[Sequence[UserAction]] = [
        rows[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(rows)], strict=True)
    ]
    # Each part as a node holds it: sorted, without copies.
    runs = [decode_run(encode_run(merge_actions([part]))) for part in parts]
    assert fold_actions(row for run in runs for row in run) == expected_library(log)


@given(log=logs(), cuts=st.lists(st.integers(-4, 4), max_size=3))
def test_windows_beside_each_other_have_every_listen_once(log: list[UserAction], cuts: list[int]) -> None:
    bounds: list[int | None] = [None, *sorted(set(cuts)), None]
    windows = [*pairwise(bounds)]
    listens = [one for window in windows for one in heard_listens(log, *window)]
    assert listens == heard_listens(log)
    assert sum(fold_window(log, *window).listens for window in windows) == expected_library(log).listens


@given(st.lists(st.integers(-1_000, 1_000), min_size=RECENT + 1, max_size=120, unique=True))
def test_the_last_listens_are_the_latest_by_time(moments: list[int]) -> None:
    recent = fold_actions(action(number, at_us=at_us) for number, at_us in enumerate(moments)).recent
    assert [at_us for at_us, _, _ in recent] == sorted(moments, reverse=True)[:RECENT]
