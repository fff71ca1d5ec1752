"""What becomes of an upload, by example and by property."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec import structs

from songline.processors.ingestion.audio.probe import ProbedAudio, RefusedAudio
from songline.processors.ingestion.transitions import (
    CommandRefusedError,
    begin,
    decide,
    died,
    published,
    remove,
    withdraw,
)
from songline.schemas.commands import Command, IngestSong, Metadata, RemoveSong, Upload, derived_id, read_metadata
from songline.schemas.envelope import decode
from songline.schemas.errors import PoisonError
from songline.schemas.events import SongRemoved, SongUploaded
from songline.schemas.ingestions import Ingestion, Reason
from songline.schemas.songs import Fact, Song, SongDocument

NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
SHA = "ab" * 32
FOUND = ProbedAudio(
    format="flac",
    content_type="audio/flac",
    duration_ms=201_000,
    metadata=Metadata(title="track01", artist="Nova Reed", genre="indie"),
)
CUT = RefusedAudio(reason=Reason(cause="cut-off", text="The file is cut off."))


def ingest(user: str = "user-7", sha: str = SHA, **forced: str) -> Command:
    upload = Upload(sha256=sha, size=5, content_type="audio/flac")
    order = IngestSong(user_id=user, upload=upload, file_name="dusk.flac", metadata=read_metadata(forced))
    return Command(id="i-1", source="/services/api", time=NOW, data=order)


def removal(user: str = "user-7") -> Command:
    return Command(id="r-1", source="/services/api", time=NOW, data=RemoveSong(user_id=user, song_id="i-1"))


def ready() -> Ingestion:
    return decide(begin(None, ingest(), NOW), ingest(), FOUND, NOW)


def test_a_song_becomes_available() -> None:
    ingestion = decide(begin(None, ingest(title="Paper Lanterns"), NOW), ingest(title="Paper Lanterns"), FOUND, NOW)
    assert (ingestion.state, ingestion.song_id, ingestion.attempts) == ("ready", "i-1", 1)
    assert [step.state for step in ingestion.history] == ["received", "processing", "ready"]
    event = decode(json.dumps(ingestion.outbox[0]).encode())
    assert event.id == derived_id("song-uploaded", "i-1")
    assert event.partition_key == "user-7"
    assert event.data == SongUploaded(
        user_id="user-7",
        song_id="i-1",
        title="Paper Lanterns",
        artist="Nova Reed",
        genre="indie",
        duration_ms=201_000,
        sha256=SHA,
        size=5,
        content_type="audio/flac",
    )


def test_a_file_that_is_unfit_is_rejected_with_the_reason_and_no_event() -> None:
    ingestion = decide(begin(None, ingest(), NOW), ingest(), CUT, NOW)
    assert (ingestion.state, ingestion.reason, ingestion.outbox) == ("rejected", CUT.reason, ())


def test_each_attempt_counts_and_the_history_says_it_once() -> None:
    ingestion = begin(begin(None, ingest(), NOW), ingest(), NOW + timedelta(minutes=1))
    assert ingestion.attempts == 2
    assert [step.state for step in ingestion.history] == ["received", "processing"]
    assert ingestion.updated_at == NOW + timedelta(minutes=1)


def test_another_users_command_under_the_same_id_is_poison() -> None:
    for other in (ingest(user="user-8"), ingest(sha="cd" * 32)):
        with pytest.raises(PoisonError, match="another user, or with another file"):
            begin(begin(None, ingest(), NOW), other, NOW)


def test_what_died_can_be_sent_again() -> None:
    dead = died(begin(None, ingest(), NOW), ingest(), "The store was away.", NOW)
    assert (dead.state, dead.reason) == ("dead", Reason(cause="failed", text="The store was away."))
    again = decide(begin(dead, ingest(), NOW), ingest(), FOUND, NOW)
    assert (again.state, again.reason) == ("ready", None)


def test_a_command_that_died_before_it_was_looked_at_has_a_document_all_the_same() -> None:
    assert died(None, ingest(), "The store was away.", NOW).state == "dead"


def test_what_is_settled_does_not_die() -> None:
    assert died(ready(), ingest(), "no matter", NOW) == ready()


def test_an_unfinished_upload_whose_command_comes_after_all_is_taken_up() -> None:
    received = Ingestion(
        id="i-1",
        user_id="user-7",
        state="rejected",
        received_at=NOW,
        updated_at=NOW,
        upload=Upload(sha256=SHA, size=5, content_type="audio/flac"),
        reason=Reason(cause="unfinished", text="The upload was never finished."),
    )
    assert begin(received, ingest(), NOW).state == "processing"


def test_a_song_goes_with_an_event_after_the_one_it_came_with() -> None:
    gone = remove(ready(), removal(), NOW + timedelta(days=1))
    assert [type(decode(json.dumps(event).encode()).data) for event in gone.outbox] == [SongUploaded, SongRemoved]
    assert gone.removed_at == NOW + timedelta(days=1)
    assert published(gone, gone.outbox[:1]).outbox == gone.outbox[1:]


def test_an_upload_can_be_called_off_before_it_is_ready() -> None:
    called_off = remove(begin(None, ingest(), NOW), removal(), NOW)
    assert called_off.state == "rejected"
    assert decide(begin(called_off, ingest(), NOW), ingest(), FOUND, NOW) == called_off


@pytest.mark.parametrize(
    ("ingestion", "command", "reason"),
    [
        (None, removal(), "unknown-song"),
        (decide(begin(None, ingest(), NOW), ingest(), CUT, NOW), removal(), "unknown-song"),
        (ready(), removal("user-8"), "not-the-uploader"),
    ],
)
def test_a_removal_that_is_refused(ingestion: Ingestion | None, command: Command, reason: str) -> None:
    with pytest.raises(CommandRefusedError) as caught:
        remove(ingestion, command, NOW)
    assert caught.value.reason == reason


def in_catalog(song: Song | None) -> SongDocument:
    return SongDocument(id="i-1", facts={"2": Fact(position=7, at=NOW, song=song)})


ANNOUNCED = in_catalog(
    Song(id="i-1", user_id="user-7", title="T", artist="A", duration_ms=1000, uploaded_at=NOW - timedelta(days=1))
)


def test_a_song_that_came_in_by_another_way_goes_by_the_same_event_each_time() -> None:
    event = withdraw(ANNOUNCED, removal())
    assert event == withdraw(ANNOUNCED, removal())
    told = decode(json.dumps(event).encode())
    assert (told.id, told.data) == (derived_id("song-removed", "i-1"), SongRemoved(user_id="user-7", song_id="i-1"))
    assert withdraw(in_catalog(None), removal()) is None


@pytest.mark.parametrize(
    ("known", "command", "reason"),
    [(None, removal(), "unknown-song"), (ANNOUNCED, removal("user-8"), "not-the-uploader")],
)
def test_such_a_removal_that_is_refused(known: SongDocument | None, command: Command, reason: str) -> None:
    with pytest.raises(CommandRefusedError) as caught:
        withdraw(known, command)
    assert caught.value.reason == reason


findings = st.just(FOUND) | st.just(CUT)


@given(finding=findings, later=st.timedeltas(timedelta(0), timedelta(days=7)))
def test_every_step_done_again_on_its_outcome_changes_nothing(
    finding: ProbedAudio | RefusedAudio, later: timedelta
) -> None:
    outcome = decide(begin(None, ingest(), NOW), ingest(), finding, NOW)
    assert begin(outcome, ingest(), NOW + later) == outcome
    assert decide(outcome, ingest(), finding, NOW + later) == outcome
    if outcome.state == "ready":
        gone = remove(outcome, removal(), NOW)
        assert remove(gone, removal(), NOW + later) == gone


class AnyOrder(RuleBasedStateMachine):
    """Deliveries, removals, deaths and publishing in any order, with the document going over the wire each time."""

    def __init__(self) -> None:
        super().__init__()
        self.ingestion: Ingestion | None = None
        self.now = NOW
        self.published: list[str] = []

    def save(self, ingestion: Ingestion) -> None:
        self.now += timedelta(seconds=1)
        self.ingestion = msgspec.convert(json.loads(msgspec.json.encode(ingestion)), Ingestion)
        assert self.ingestion == ingestion

    @rule(finding=findings)
    def deliver(self, finding: ProbedAudio | RefusedAudio) -> None:
        self.save(begin(self.ingestion, ingest(), self.now))
        assert self.ingestion is not None
        self.save(decide(self.ingestion, ingest(), finding, self.now))

    @rule()
    def deliver_and_crash(self) -> None:
        self.save(begin(self.ingestion, ingest(), self.now))

    @rule()
    def take_away(self) -> None:
        try:
            self.save(remove(self.ingestion, removal(), self.now))
        except CommandRefusedError:
            assert self.ingestion is None or self.ingestion.state == "rejected"

    @rule()
    def die(self) -> None:
        self.save(died(self.ingestion, ingest(), "It failed too often.", self.now))

    @rule(crash=st.booleans())
    def publish(self, crash: bool) -> None:
        if self.ingestion is None:
            return
        self.published += [decode(json.dumps(event).encode()).id for event in self.ingestion.outbox]
        if not crash:
            self.save(published(self.ingestion, self.ingestion.outbox))

    @invariant()
    def tells_a_true_story(self) -> None:
        if self.ingestion is None:
            return
        it = self.ingestion
        told = set(self.published) | {event["id"] for event in it.outbox}
        assert (it.state == "ready") == (derived_id("song-uploaded", "i-1") in told)
        assert (it.state == "ready" and it.removed_at is not None) == (derived_id("song-removed", "i-1") in told)
        assert it.history[-1].state == it.state
        assert (it.reason is None) == (it.state not in ("rejected", "dead"))
        assert [step.at for step in it.history] == sorted(step.at for step in it.history)
        assert len(it.outbox) <= 2


TestAnyOrder = AnyOrder.TestCase


def test_what_is_odd_about_a_file_is_said_in_its_history() -> None:
    found = structs.replace(FOUND, note="It was trimmed.")
    ingestion = decide(begin(None, ingest(), NOW), ingest(), found, NOW)
    assert [step.note for step in ingestion.history] == [None, None, "It was trimmed."]
    assert decide(begin(None, ingest(), NOW), ingest(), FOUND, NOW).history[-1].note is None


def test_all_artists_and_genres_are_in_the_event_unless_the_uploader_names_others() -> None:
    both = Metadata(
        title="T", artist="Reed, Lind", artists=("Reed", "Lind"), genre="rock", genres=("rock", "synth-pop")
    )
    found = structs.replace(FOUND, metadata=both)
    said = decide(begin(None, ingest(), NOW), ingest(), found, NOW).outbox[0]["data"]
    assert (said["artist"], said["artists"]) == ("Reed, Lind", ["Reed", "Lind"])
    assert (said["genre"], said["genres"]) == ("rock", ["rock", "synth-pop"])
    order = ingest(artist="Nova Reed; Ivo Lind", genre="Джаз")
    forced = decide(begin(None, order, NOW), order, found, NOW).outbox[0]["data"]
    assert (forced["artist"], forced["artists"]) == ("Nova Reed, Ivo Lind", ["Nova Reed", "Ivo Lind"])
    assert (forced["genre"], "genres" in forced) == ("джаз", False)
    order = ingest(artist="Nova Reed")
    assert "artists" not in decide(begin(None, order, NOW), order, found, NOW).outbox[0]["data"]
