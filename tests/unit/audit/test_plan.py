"""Load and faults follow from their seed, and are what they claim to be."""

import io
from datetime import UTC, datetime
from itertools import islice

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.faults import parse_rules
from songline.audit.bad_bodies import bad_bodies
from songline.audit.fault_rules import rules
from songline.audit.load import LoadNames, load, players
from songline.audit.plan import KILLS_PER_ROUND, KINDS, AuditConfig, fault_rounds
from songline.audit.sample_songs import sample_songs
from songline.processors.ingestion.audio.probe import RefusedAudio, probe
from songline.schemas.acceptance import accepted
from songline.schemas.envelope import decode
from songline.schemas.errors import ContractViolationError, PoisonError
from songline.schemas.events import SongLiked, SongPlayed, SongUnliked

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
NAMES = LoadNames("l-", "s-")


@given(st.integers(0, 1 << 40))
def test_each_round_has_every_kind_of_fault(seed: int) -> None:
    for faults in islice(fault_rounds(seed), 3):
        kinds = [one.kind for one in faults]
        assert set(kinds) == set(KINDS)
        assert kinds.count("kill") == KILLS_PER_ROUND


def test_the_same_seed_gives_the_same_faults() -> None:
    first, again, other = (list(islice(fault_rounds(seed), 5)) for seed in (7, 7, 8))
    assert first == again != other
    assert {one.target for some in first for one in some if one.kind == "kill"} >= {"trending", "library", "api"}


@pytest.mark.parametrize("kind", KINDS)
def test_localcloud_takes_the_rules_of_every_spell(kind: str) -> None:
    fault = next(one for one in next(fault_rounds(7)) if one.kind == kind)
    found = rules(fault)
    assert len(parse_rules(msgspec.json.encode(found))) == len(found)
    assert bool(found) is (kind not in ("kill", "stop", "full-disk"))


def test_the_same_seed_gives_the_same_events() -> None:
    first, again = (list(islice(load(AuditConfig(seed=7), START, NAMES), 500)) for _ in range(2))
    assert first == again
    ids = [event.id for _, event in first]
    assert len(set(ids)) < len(ids), "none is sent twice"
    for _, sent in first:
        if not sent.is_good:
            with pytest.raises(ContractViolationError):
                accepted(sent.body, datetime.now(UTC))
            continue
        event = decode(sent.body)
        assert (sent.id, sent.listener) == (event.id, event.partition_key)
        assert event.partition_key.startswith("l-")
        assert event.data.song_id.startswith("s-")
        if isinstance(event.data, SongPlayed | SongLiked | SongUnliked):
            assert event.data.user_id in players(AuditConfig(seed=7), NAMES)
    assert not all(sent.is_good for _, sent in first)


def test_no_reader_takes_a_bad_body() -> None:
    bodies = list(islice(bad_bodies(7), 200))
    assert bodies == list(islice(bad_bodies(7), 200))
    for body in bodies:
        with pytest.raises(PoisonError):
            decode(body)


def test_songs_are_what_they_claim_to_be() -> None:
    songs = list(islice(sample_songs(7), 40))
    assert {one.outcome for one in songs} == {"ready", "cut-off", "not-audio"}
    assert len({one.content for one in songs}) == len(songs)
    for one in songs:
        found = probe(io.BytesIO(one.content))
        assert one.outcome == (found.reason.cause if isinstance(found, RefusedAudio) else "ready")
