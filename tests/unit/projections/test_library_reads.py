"""Reads of libraries while the shelf's tree goes on: nothing is missed, and what did not change is not read again."""

from collections.abc import Iterable, Mapping

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from songline.projections.library.folded_cache import FoldedCache
from songline.projections.library.lists import LibraryLists
from songline.projections.library.path_read import PathRead, ReadRoot, SeenLibrary, node_kind
from songline.schemas.library.action import UserAction, event_mark, merge_actions
from songline.schemas.library.action_run import encode_run
from songline.schemas.library.fold import FoldedLibrary, FoldedSong, fold_actions
from songline.schemas.library.node import RootDocument, TreeDocument
from songline.schemas.library.shelf import ROOT
from tests.support.library_tree import MemoryShelf, tiny

USERS = [f"user-{number}" for number in range(12)]


def listen(position: int, user_id: str, song: int = 0) -> UserAction:
    return UserAction(
        user_id, f"song-{song}", 1_000 * position, event_mark(str(position)), "listen", 0, position, 40_000
    )


def read_back(document: TreeDocument, rid: str) -> TreeDocument:
    """The document as a reader gets it."""
    etag = f'"{getattr(document, "flushes", 0)}"'
    return msgspec.convert({**msgspec.to_builtins(document), "_rid": rid, "_etag": etag}, node_kind(document.id))


class Shelf:
    """A shelf whose documents are kept as of every flush, so that one read may see several moments."""

    def __init__(self, rid: str = "rid-1") -> None:
        self.actions: list[UserAction] = []
        self.versions: list[Mapping[str, TreeDocument]] = [{}]
        self._shelf = MemoryShelf(tiny())
        self._rid = rid

    def add(self, picks: Iterable[tuple[str, int]]) -> None:
        """A listen for each pick of a listener and a song, in one flush or a few."""
        start = len(self.actions)
        actions = [listen(start + number, user_id, song) for number, (user_id, song) in enumerate(picks)]
        self.actions += actions
        flushes = len(self._shelf.history)
        self._shelf.add(0, actions)
        for flush in self._shelf.history[flushes:]:
            changed: dict[str, TreeDocument] = {ROOT: flush.root, **flush.nodes}
            read = {node_id: read_back(node, self._rid) for node_id, node in changed.items()}
            self.versions.append({**self.versions[-1], **read})

    def expected(self, user_id: str) -> FoldedLibrary:
        return fold_actions(action for action in self.actions if action.user_id == user_id)


def read(shelf: Shelf, user_id: str, seen: SeenLibrary | None) -> tuple[SeenLibrary, list[str]]:
    """A read while nothing is written, and the ids that it asked for."""
    path, asked = PathRead(user_id, seen), []
    while path.wanted:
        asked += path.wanted
        path.add(node for node_id in path.wanted if (node := shelf.versions[-1].get(node_id)) is not None)
    return path.library(), asked


# Much of it is of the listener who is read, so that pushes often hold their actions.
PICKS = st.lists(st.tuples(st.sampled_from([*USERS, *[USERS[0]] * 8]), st.integers(0, 40)), min_size=1, max_size=15)


@settings(deadline=None)
@given(data=st.data())
def test_a_read_has_every_action_that_was_there_when_it_began(data: st.DataObject) -> None:
    shelf, user_id = Shelf(), USERS[0]
    for number in range(5):
        shelf.add((each, number) for each in USERS)
    seen: SeenLibrary | None = None
    for _ in range(data.draw(st.integers(1, 4))):
        shelf.add(data.draw(PICKS))
        path, before = PathRead(user_id, seen), shelf.expected(user_id)
        moment = len(shelf.versions) - 1
        while path.wanted:
            for picks in data.draw(st.lists(PICKS, max_size=2)):
                shelf.add(picks)
            # Each document as of any moment since the read began; at last as of now.
            ends = len(shelf.versions) - 1
            found = [
                shelf.versions[data.draw(st.integers(moment, ends)) if data.draw(st.booleans()) else ends].get(node_id)
                for node_id in path.wanted
            ]
            path.add(node for node in found if node is not None)
        seen = path.library()
        library = seen.lists.library
        assert {each.song_id for each in library.songs} >= {each.song_id for each in before.songs}
        assert before.listens <= library.listens <= shelf.expected(user_id).listens
        # Once the shelf rests, the next read has all of it, whatever was read again.
        if data.draw(st.booleans()):
            seen, _ = read(shelf, user_id, seen)
            assert seen.lists.library == shelf.expected(user_id)


def test_a_library_that_did_not_change_costs_the_root() -> None:
    shelf, user_id = Shelf(), USERS[0]
    shelf.add((each, number) for number in range(30) for each in USERS)
    first, asked = read(shelf, user_id, None)
    assert ROOT in asked
    again, asked = read(shelf, user_id, first)
    assert asked == [ROOT]
    assert again.lists is first.lists
    # Others' actions leave the folded library as it is, also where they were pushed through its path.
    for number in range(100):
        shelf.add([(USERS[1], number)])
    again, asked = read(shelf, user_id, again)
    assert again.lists is first.lists
    shelf.add([(user_id, 7)])
    changed, _ = read(shelf, user_id, again)
    assert changed.lists.library == shelf.expected(user_id)


def test_runs_that_the_worker_merged_are_no_change() -> None:
    user_id = USERS[0]
    actions = [[listen(1, user_id, 5)], [listen(2, user_id, 3)]]
    found: list[SeenLibrary] = []
    for runs in (map(encode_run, actions), [encode_run(merge_actions(actions))]):
        path = PathRead(user_id, found[-1] if found else None)
        path.add([read_back(RootDocument(shelf="v1-0", flushes=len(found) + 1, runs=tuple(runs)), "rid-1")])
        assert path.wanted == []
        found.append(path.library())
    assert found[0].lists is found[1].lists


def test_a_large_library_is_read_out_of_many_nodes() -> None:
    shelf, user_id = Shelf(), USERS[0]
    for start in range(0, 600, 50):
        shelf.add((user_id, number) for number in range(start, start + 50))
    found, asked = read(shelf, user_id, None)
    assert found.lists.library == shelf.expected(user_id)
    assert len(set(asked)) > 20
    assert read(shelf, user_id, found)[1] == [ROOT]


def test_a_shelf_that_is_written_anew_is_read_anew() -> None:
    old, new, user_id = Shelf("old"), Shelf("new"), USERS[0]
    old.add((each, number) for number in range(30) for each in USERS)
    seen, _ = read(old, user_id, None)
    empty, _ = read(new, user_id, seen)
    assert empty.lists.library.songs == ()
    new.add([(user_id, 1)])
    for earlier in (seen, empty):
        assert read(new, user_id, earlier)[0].lists.library == new.expected(user_id)


def test_a_listener_without_a_shelf_has_an_empty_library() -> None:
    found, _ = read(Shelf(), USERS[0], None)
    assert found.lists.library == fold_actions([])
    assert read(Shelf(), USERS[0], found)[0].lists.library.songs == ()


def test_a_root_is_read_with_its_resource_id_and_its_etag() -> None:
    root = read_back(RootDocument(shelf="v1-0", flushes=3), "rid-9")
    assert isinstance(root, ReadRoot)
    assert (root.rid, root.etag, root.flushes) == ("rid-9", '"3"', 3)


def test_a_read_knows_the_root_that_it_read() -> None:
    shelf, user_id = Shelf(), USERS[0]
    assert read(shelf, user_id, None)[0].etag == ""
    shelf.add([(user_id, 1)])
    first, _ = read(shelf, user_id, None)
    # What is of others changes the root, too, and keeps the library as it was.
    shelf.add([(USERS[1], 1)])
    second, _ = read(shelf, user_id, first)
    assert second.lists is first.lists
    roots = [version[ROOT] for version in shelf.versions[-2:]]
    assert [first.etag, second.etag] == [root.etag for root in roots if isinstance(root, ReadRoot)]


def test_the_cache_is_bounded_by_bytes_and_keeps_the_last() -> None:
    def library(songs: int) -> SeenLibrary:
        rows = tuple(FoldedSong(f"song-{number}", 1, 1, 1, 1, None, None) for number in range(songs))
        return SeenLibrary(LibraryLists(FoldedLibrary(rows, 0, 0, 0, 0, 0, None, None, ())), {}, "", "")

    cache = FoldedCache(room_bytes=1_000_000)
    for number in range(100):
        cache.put("v1-0", f"user-{number}", library(10))
    kept = [number for number in range(100) if cache.find("v1-0", f"user-{number}")]
    assert kept == list(range(100 - len(kept), 100))
    assert 10 < len(kept) < 100
    assert cache.find("v2-0", "user-99") is None
    cache.put("v1-0", "large", library(10_000))
    assert cache.find("v1-0", "large") is not None
    assert cache.find("v1-0", "user-99") is None
    cache.put("v1-0", "user-1", library(1))
    assert cache.find("v1-0", "large") is None
