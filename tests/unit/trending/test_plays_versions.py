"""Songs' days wait anew when another version of them is live; a state that never had one is saved as ever."""

from random import Random

import msgspec
import pytest

from songline.processors.trending.shards.state import Shard, ShardHead, decode_head, encode_head
from songline.processors.trending.shards.validation import check_saved
from songline.schemas.moments import moment_at
from tests.support.trending import KEY, Pipeline
from tests.unit.trending.test_handover import LIMITS
from tests.unit.trending.test_pipeline import NOW_MS, PARTITIONS, SHARDS, event, logs_of, payload

EVERYTHING = 1_000


class PlaysOwners:
    """The owners of one shard, one after another, over what they save."""

    def __init__(self) -> None:
        random = Random(7)
        log = [(0, event(moment_at(NOW_MS), payload(random, f"user-{number}"))) for number in range(0, 60, PARTITIONS)]
        pipeline = Pipeline(logs_of(log), SHARDS, NOW_MS)
        pipeline.finish()
        pipeline.save_shard(0)
        self.saved = dict(pipeline.saved(0))
        self._owners = 0

    def next(self, plays: int) -> Shard:
        self._owners += 1
        shard = Shard(0, f"next-{self._owners}", KEY, plays=plays)
        shard.advance(NOW_MS)
        shard.restore(list(self.saved.items()))
        return shard

    def save(self, shard: Shard) -> None:
        for key, value in shard.flush().items():
            if value is None:
                self.saved.pop(key, None)
            else:
                check_saved(key.encode(), value, 0, LIMITS)
                self.saved[key] = value

    def write_all(self, shard: Shard) -> int:
        written = shard.days.due(EVERYTHING)
        for one in written:
            shard.days.written(one)
        self.save(shard)
        return len(written)


def test_all_days_wait_for_another_version_and_for_the_former_one_again() -> None:
    owners = PlaysOwners()
    count = owners.write_all(owners.next(1))
    assert count > 1
    assert owners.next(1).days.due(EVERYTHING) == [], "all are written"
    for version in (2, 1, 2, 3):
        shard = owners.next(version)
        assert len(shard.days.due(EVERYTHING)) == count, version
        # It ends before anything is written, and after it has said what waits.
        owners.save(shard)
        assert owners.write_all(owners.next(version)) == count
        assert owners.next(version).days.due(EVERYTHING) == []


def test_one_that_ends_before_it_has_saved_leaves_all_to_the_next() -> None:
    owners = PlaysOwners()
    count = owners.write_all(owners.next(1))
    assert len(owners.next(2).days.due(EVERYTHING)) == count
    assert owners.write_all(owners.next(2)) == count


@pytest.mark.parametrize("waiting", [True, False])
def test_the_head_of_the_first_version_has_the_bytes_that_it_always_had(waiting: bool) -> None:
    head = ShardHead({0: 5, 1: -1}, {0: 7, 1: None}, waiting)
    assert encode_head(head) == msgspec.msgpack.encode(({0: 5, 1: -1}, {0: 7, 1: None}, waiting))
    assert decode_head(encode_head(head)) == head
    later = ShardHead({0: 5}, {0: None}, waiting, plays=1, turn=2)
    assert decode_head(encode_head(later)) == later
