"""Forgotten listeners in the tail of the hub have the names that the archive has, up to their bounds."""

from datetime import UTC, datetime, timedelta

from msgspec import structs

from songline.processors.history.erasure.tail_names import NOBODY_FORGOTTEN, ForgottenListeners
from songline.schemas.envelope import Event, decode, encode
from songline.schemas.erasures import Erasure, ended, finished, listener_hash
from songline.schemas.events import SongPlayed
from songline.schemas.forgotten import ForgottenNames

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
    after = [body("user-7")]
    assert forgotten.renamed("0", [4], [0], after) is after


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


def test_a_body_that_is_no_event_loses_them_too() -> None:
    forgotten, name = ForgottenListeners([ERASURE], NOON), ForgottenNames(KEY).of_hour(0)
    bodies = [b'{"userId": "user-7"}', b"user-7: no", b"user-7:2 and user-7.", b'{"userId": "user-7."}', b"nobody"]
    found = forgotten.renamed("0", [0, 1, 2, 3, 3], [0] * 5, bodies)
    other = name.encode()
    assert found == [b'{"userId":"%s"}' % other, other + b": no", b"user-7:2 and %s." % other, *bodies[3:]]


def test_whether_there_is_anybody_is_known_by_position() -> None:
    forgotten = ForgottenListeners([ERASURE], NOON)
    assert [forgotten.may_name("0", position) for position in (0, 3, 4)] == [True, True, False]
    assert not forgotten.may_name("1", 0)
    assert not NOBODY_FORGOTTEN.may_name("0", 0)
