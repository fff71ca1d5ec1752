"""Forgotten listeners in the tail of the hub have the names that the archive has, up to their bounds."""

from datetime import UTC, datetime, timedelta

from msgspec import structs

from songline.processors.history.erasure.tail_names import ForgottenListeners, would_reread, would_return
from songline.schemas.envelope import Event, decode, encode
from songline.schemas.erasures import Erasure, ended, finished, listener_hash
from songline.schemas.events import SongPlayed
from songline.schemas.forgotten import ForgottenNames
from songline.schemas.progress import Watermark

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = bytes(range(32))
ERASURE = Erasure(
    id="erasure-1",
    state="done",
    songs="keep",
    requested_at=NOON,
    due_at=NOON,
    by="tests",
    key=KEY.hex(),
    listener=listener_hash("user-7", KEY),
    bounds={"0": 3},
    hub_created_at=NOON,
)


def body(user_id: str, number: int = 0) -> bytes:
    return encode(Event(id=f"e-{number}", source="/t", time=NOON, data=SongPlayed(user_id=user_id, song_id="s")))


def users(forgotten: ForgottenListeners, positions: list[int], bodies: list[bytes], partition: str = "0") -> list[str]:
    found = forgotten.renamed(partition, positions, [int(NOON.timestamp())] * len(bodies), bodies)
    return [decode(one).data.user_id for one in found]


def test_events_up_to_the_bound_are_renamed() -> None:
    forgotten, name = ForgottenListeners([ERASURE], NOON), ForgottenNames(KEY).of_hour(int(NOON.timestamp()))
    bodies = [body("user-7"), body("user-8"), body("user-7")]
    assert users(forgotten, [2, 3, 4], bodies) == [name, "user-8", "user-7"]
    assert users(forgotten, [2, 3, 4], bodies, "1") == ["user-7", "user-8", "user-7"]
    assert forgotten.renamed("0", [4], [0], bodies[:1]) is not None
    assert forgotten.renamed("0", [1], [0], [b"no event"]) == [b"no event"]


def test_nothing_is_renamed_of_another_hub_or_after_the_tail_has_ended() -> None:
    bodies = [body("user-7")]
    for erasure, created in ((ERASURE, NOON + timedelta(hours=1)), (ended(ERASURE), NOON)):
        assert ForgottenListeners([erasure], created).renamed("0", [0], [0], bodies) is bodies


def test_a_receipt_has_neither_listener_nor_key_in_the_end() -> None:
    running = structs.replace(ERASURE, state="running", user_id="user-7")
    receipt = finished(running, NOON)
    assert receipt.user_id is None
    assert receipt.key
    assert (ended(receipt).key, ended(receipt).listener) == ("", "")


def test_a_version_that_has_not_read_up_to_the_bound_would_bring_them_back() -> None:
    def at(position: int) -> dict[str, Watermark]:
        return {"0": Watermark(position=position, through=None)}

    assert would_return([ERASURE], at(2))
    assert would_return([ERASURE], {})
    assert not would_return([ERASURE], at(3))
    assert not would_return([structs.replace(ERASURE, bounds={"0": -1})], {})
    assert not would_return([ended(ERASURE)], at(2))


def test_a_worker_that_begins_again_before_the_bound_would_read_them_once_more() -> None:
    assert would_reread([ERASURE], NOON, "0", 0, 3)
    assert would_reread([ERASURE], NOON, "0", 3, 9)
    assert not would_reread([ERASURE], NOON, "0", 4, 9), "the hub has deleted it"
    assert not would_reread([ERASURE], NOON, "0", 0, 2), "it has not been read yet"
    assert not would_reread([ERASURE], NOON, "0", 0, None)
    assert not would_reread([ERASURE], NOON, "1", 0, 9)
    assert not would_reread([ERASURE], NOON + timedelta(hours=1), "0", 0, 9), "the hub was made anew"
    assert not would_reread([ended(ERASURE)], NOON, "0", 0, 9)
