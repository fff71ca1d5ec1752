"""The check of uploads names one that is lost, one with another end or sound, and one that is told twice or never."""

from songline.audit.ledger import AcceptedUpload, Ledger
from songline.audit.proof import Proof
from songline.audit.upload_check import UploadAnswer, check_uploads
from songline.schemas.commands import derived_id
from songline.schemas.envelope import Event
from songline.schemas.events import SongUploaded
from tests.support.audited import NOON, NOON_S, log_of

SOUND = "9f" * 32


def told(ingestion: str, id_: str = "") -> Event:
    song = SongUploaded(user_id="user-1", song_id=ingestion, title="A", artist="B", duration_ms=1_000)
    return Event(id=id_ or derived_id("song-uploaded", ingestion), source="/tests", time=NOON, data=song)


def accepted() -> Ledger:
    uploads = {
        "i-1": AcceptedUpload("i-1", "user-1", SOUND, "ready", NOON_S),
        "i-2": AcceptedUpload("i-2", "user-1", SOUND, "cut-off", NOON_S),
    }
    return Ledger(uploads=uploads)


RIGHT = {"i-1": UploadAnswer("ready", None, SOUND), "i-2": UploadAnswer("rejected", "cut-off")}


def wrong(proofs: list[Proof]) -> dict[str, list[str]]:
    return {one.name: [each.what for each in one.differences] for one in proofs if not one.holds}


def test_right_answers_prove_it() -> None:
    # The same event may be in the hub again, after a crash.
    assert wrong(check_uploads(accepted(), log_of([told("i-1"), told("i-1")]), RIGHT)) == {}


def test_a_lost_upload_is_named() -> None:
    found = wrong(check_uploads(accepted(), log_of([told("i-1")]), {"i-1": RIGHT["i-1"]}))
    assert found == {"uploads-kept": ["upload i-2 was accepted and is not there"]}


def test_another_end_is_named() -> None:
    answers = {**RIGHT, "i-2": UploadAnswer("dead", "failed")}
    found = wrong(check_uploads(accepted(), log_of([told("i-1")]), answers))
    assert found == {"uploads-kept": ["upload i-2 has another end"]}


def test_another_sound_or_none_is_named() -> None:
    for sound in ("ab" * 32, None):
        answers = {**RIGHT, "i-1": UploadAnswer("ready", None, sound)}
        found = wrong(check_uploads(accepted(), log_of([told("i-1")]), answers))
        assert found == {"uploads-kept": ["song i-1 has another sound"]}


def test_a_song_that_is_told_never_twice_or_under_another_id_is_named() -> None:
    expected = {
        "upload i-1 (ready) was told 0 times": [],
        "upload i-1 (ready) was told 2 times": [told("i-1"), told("i-1", "e-7")],
        "song i-1 was told under another id": [told("i-1", "e-7")],
        "upload i-2 (cut-off) was told 1 times": [told("i-1"), told("i-2")],
    }
    for what, events in expected.items():
        assert wrong(check_uploads(accepted(), log_of(events), RIGHT)) == {"uploads-told-once": [what]}
