"""What is remembered of listeners is bounded, and what was used last is there."""

from hypothesis import given
from hypothesis import strategies as st

from songline.processors.library.library_cache import CachedLibrary, LibraryCache
from songline.schemas.library.listener_documents import EntryDocument

ENTRY = EntryDocument(id="song:s", user_id="u", song_id="s")


def shelf(size: int = 0) -> CachedLibrary:
    return CachedLibrary("etag", None, {f"song-{number}": ENTRY for number in range(size)}, is_complete=False)


def test_the_one_that_was_not_used_for_longest_goes_first() -> None:
    shelves = LibraryCache(room=35)
    for user in ("a", "b", "c"):
        shelves.put(user, shelf())
    shelves.put("a", shelf())
    shelves.put("d", shelf())
    assert {user for user in "abcd" if shelves.find(user) is not None} == {"c", "a", "d"}


def test_a_shelf_that_is_larger_than_all_room_is_not_kept() -> None:
    shelves = LibraryCache(room=50)
    shelves.put("small", shelf())
    shelves.put("large", shelf(100))
    assert shelves.find("large") is None


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 30), st.booleans())))
def test_never_more_than_there_is_room_for(steps: list[tuple[str, int, bool]]) -> None:
    shelves = LibraryCache(room=60)
    for user, size, gone in steps:
        shelves.drop(user) if gone else shelves.put(user, shelf(size))
        kept = [found for one in "abcdef" if (found := shelves.find(one)) is not None]
        assert sum(10 + len(one.entries) for one in kept) <= 60
        assert gone or shelves.find(user) is not None
