"""Days of songs: what is written of them equals the rules in words, whatever crashes, and each waits once."""

from random import Random

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from songline.audit import chart_reference as reference
from songline.processors.trending.plays.backlog import SEGMENT, Backlog
from songline.schemas.moments import moment_at
from tests.support.trending import Pipeline, hours
from tests.unit.trending.test_pipeline import (
    NOW_MS,
    PARTITIONS,
    SHARDS,
    event,
    events,
    logs_of,
    payload,
    places,
)

HOUR_MS = 3_600_000
EVERYTHING = 1_000


@effort(15)
@given(st.integers(0, 2**32 - 1))
@example(294).via("counts that a former owner saved when what it let wait had been taken over")
def test_what_is_written_equals_the_reference_whatever_happens_on_the_way(seed: int) -> None:
    random = Random(seed)
    log = events(random, 40)
    pipeline = Pipeline(logs_of(log), SHARDS, NOW_MS)
    for _ in range(120):
        disturb(random, pipeline)
    pipeline.finish()
    # All that was counted is saved, and what is not written is so only there.
    for shard in range(SHARDS):
        pipeline.save_shard(shard)
        pipeline.restart_shard(shard)
        pipeline.record(shard, EVERYTHING)
        assert pipeline.due(shard, EVERYTHING) == []
    assert hours(pipeline.days.values()) == reference.plays(places(log))


@effort(30)
@given(st.integers(0, 2**32 - 1))
def test_what_was_refused_is_written_by_the_next_owner(seed: int) -> None:
    random = Random(seed)
    log = events(random, 40)
    pipeline = Pipeline(logs_of(log), SHARDS, NOW_MS)
    for _ in range(120):
        disturb(random, pipeline)
        if random.random() < 0.2:
            pipeline.refuse(random.randrange(SHARDS), random.randint(1, 4), random.randint(0, 4))
    pipeline.finish()
    for shard in range(SHARDS):
        pipeline.save_shard(shard)
        pipeline.restart_shard(shard)
        pipeline.record(shard, EVERYTHING)
    assert hours(pipeline.days.values()) == reference.plays(places(log))


def disturb(random: Random, pipeline: Pipeline) -> None:
    """One step of what may happen, with an owner now and then that has lost its shard and does not know it."""
    source, shard = random.randrange(PARTITIONS), random.randrange(SHARDS)
    dies_after = random.choice([None, None, random.randrange(20)])
    steps = ["read", "flush", "apply", "save", "record", "restart", "change", "lost saves", "lost writes", "again"]
    match random.choices(steps, [8, 6, 6, 4, 6, 2, 2, 2, 1, 1])[0]:
        case "read":
            pipeline.read(source, random.randint(1, 6))
        case "flush":
            pipeline.flush(source, dies_after)
        case "apply":
            pipeline.apply(shard, random.randint(1, 6))
        case "save":
            pipeline.save_shard(shard, dies_after)
        case "record":
            pipeline.record(shard, random.randint(1, 4), random.choice([None, None, 0, 1]), random.randint(0, 4))
        case "restart":
            pipeline.restart_shard(shard)
        case "change":
            pipeline.change(shard)
        case "lost saves":
            pipeline.save_lost(shard)
        case "lost writes":
            # Its write is on its way while the shard has another owner, which writes the same days.
            late = pipeline.due(shard, 2)
            pipeline.change(shard)
            pipeline.apply(shard, 3)
            pipeline.record(shard, EVERYTHING)
            for document in late:
                pipeline.put(document)
        case _:
            pipeline.deliver_again(shard, random)


def test_a_day_is_written_whole_until_no_window_shows_any_of_it() -> None:
    """A late event of the last hour of a day whose first hours no window shows any more."""
    day = (NOW_MS // (24 * HOUR_MS) - 1) * 24 * HOUR_MS
    moments = [day, day, day + 23 * HOUR_MS]
    random = Random(7)
    plays = [payload(random, f"user-{number}") for number in range(0, 300, PARTITIONS)]
    log = [(0, event(moment_at(moments[number % 3]), one)) for number, one in enumerate(plays)]
    pipeline = Pipeline(logs_of(log), SHARDS, NOW_MS)
    for shard in range(SHARDS):
        pipeline.advance(shard, day + (7 * 24 + 22) * HOUR_MS)
    pipeline.read(0, 50)
    pipeline.flush(0)
    for shard in range(SHARDS):
        pipeline.apply(shard, EVERYTHING)
        pipeline.record(shard, EVERYTHING)
        pipeline.save_shard(shard)
        pipeline.restart_shard(shard)
        pipeline.advance(shard, day + (7 * 24 + 22) * HOUR_MS)
    pipeline.finish()
    for shard in range(SHARDS):
        pipeline.record(shard, EVERYTHING)
    assert hours(pipeline.days.values()) == reference.plays(places(log))
    for shard in range(SHARDS):
        pipeline.advance(shard, day + (7 * 24 + 23) * HOUR_MS)
        pipeline.deliver_again(shard, random)
        assert pipeline.due(shard, EVERYTHING) == [], "the day is over, and comes back with nothing"


def test_all_waits_of_a_state_that_was_saved_before_days_were_written() -> None:
    log = [(0, event(moment_at(NOW_MS), payload(Random(7), f"user-{number}"))) for number in range(0, 30, PARTITIONS)]
    pipeline = Pipeline(logs_of(log), SHARDS, NOW_MS)
    pipeline.finish()
    for shard in range(SHARDS):
        pipeline.save_shard(shard)
        saved = pipeline.saved(shard)
        for key in list(saved):
            if "/waiting/" in key:
                del saved[key]
            elif key.endswith("/head"):
                saved[key] = msgspec.msgpack.encode(msgspec.msgpack.decode(saved[key])[:2])
        pipeline.restart_shard(shard)
        pipeline.record(shard, EVERYTHING)
    assert hours(pipeline.days.values()) == reference.plays(places(log))


def test_what_changes_while_it_waits_waits_once_and_what_waits_longest_comes_first() -> None:
    backlog = Backlog("0/me/waiting/")
    backlog.add([("a", 1), ("b", 1)])
    backlog.add([("b", 1), ("a", 2), ("a", 1)])
    assert backlog.oldest(9) == [("a", 1), ("b", 1), ("a", 2)]
    backlog.move_to_end(("a", 1))
    backlog.remove(("b", 1))
    assert backlog.oldest(9) == [("a", 2), ("a", 1)]
    assert backlog.oldest(1) == [("a", 2)]


def test_what_is_set_aside_is_neither_due_nor_counted_until_it_changes_or_is_taken_back() -> None:
    backlog = Backlog("0/me/waiting/")
    days = [("a", 1), ("b", 1), ("c", 1)]
    backlog.add(days)
    backlog.set_aside(("a", 1))
    backlog.set_aside(("gone", 1))
    assert (backlog.oldest(9), len(backlog), backlog.begin) == ([("b", 1), ("c", 1)], 2, 1)
    assert ("a", 1) in backlog
    assert ("gone", 1) not in backlog
    backlog.add([("a", 1), ("d", 1)])
    assert backlog.oldest(9) == [("b", 1), ("c", 1), ("a", 1), ("d", 1)]
    backlog.set_aside(("b", 1))
    backlog.take_back()
    assert backlog.oldest(9) == [("c", 1), ("a", 1), ("d", 1), ("b", 1)]
    for day in ("c", 1), ("a", 1), ("d", 1), ("b", 1):
        backlog.set_aside(day)
    assert (len(backlog), backlog.begin) == (0, backlog.end), "all is written, or set aside"


def test_what_is_set_aside_stays_saved() -> None:
    backlog = Backlog("0/me/waiting/")
    backlog.add([("a", 1), ("b", 1)])
    segments, _ = backlog.flush()
    backlog.set_aside(("a", 1))
    backlog.remove(("b", 1))
    assert backlog.flush() == ({}, []), "its segment is not let go of"
    assert [msgspec.msgpack.decode(one) for one in backlog.saved().values()] == [[["a", 1]]]
    backlog.remove(("a", 1))
    assert backlog.flush() == ({}, list(segments))


def test_a_flush_saves_what_is_new_and_lets_go_of_what_is_written() -> None:
    backlog = Backlog("0/me/waiting/")
    days = [(f"song-{number}", 7) for number in range(SEGMENT + 1)]
    backlog.add(days)
    saved, gone = backlog.flush()
    assert [len(msgspec.msgpack.decode(one)) for one in saved.values()] == [SEGMENT, 1]
    assert (backlog.flush(), gone) == (({}, []), [])
    for day in days[:SEGMENT]:
        backlog.remove(day)
    assert backlog.flush() == ({}, list(saved)[:1])
    backlog.move_to_end(days[-1])
    moved, gone = backlog.flush()
    assert (len(moved), gone) == (1, list(saved)[1:])

    heir = Backlog("0/you/waiting/")
    for key, segment in (saved | moved).items():
        heir.inherit(key, segment)
    assert heir.oldest(EVERYTHING * 10) == days, "those of segments that were to be deleted too: written twice at worst"
    own, gone = heir.flush()
    assert gone == [*saved, *moved]
    assert all(key.startswith("0/you/waiting/") for key in own)
