"""The trending processor without its wires: sources, shards and the merge, with the hubs between as lists.

Anything may crash at any point and is then made anew from what it had saved, to read again from what it had
committed, as Faust does it.
"""

from collections.abc import Iterable, Sequence
from itertools import count, cycle, islice
from random import Random

from songline.processors.trending.action_hashes import UserHashes
from songline.processors.trending.cells import wire as partials
from songline.processors.trending.cells.chunks import SavedChunk
from songline.processors.trending.cells.hour_index import decode_index
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.late_hours import is_late
from songline.processors.trending.cells.sealed_blocks import pack_block, unpack_block
from songline.processors.trending.cells.source_partition import SourcePartition, hour_prefix
from songline.processors.trending.cells.validation import check_cell, check_chunk, check_partial
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.merge.state import Merge
from songline.processors.trending.parking_queue import UnappliedRecord
from songline.processors.trending.shards import wire as reports
from songline.processors.trending.shards.saved_through import SavedThrough
from songline.processors.trending.shards.shard_image import decode_shard_image
from songline.processors.trending.shards.shard_image_parts import ShardImageParts
from songline.processors.trending.shards.state import Shard
from songline.processors.trending.shards.validation import check_report_part, check_saved
from songline.processors.trending.song_index import RegionIndex, SongIndex
from songline.processors.trending.spans import HOUR_MS, MINUTE_MS
from songline.processors.trending.validation import StageLimits
from songline.schemas.documents import Chart
from songline.schemas.plays import SongDay
from tests.support.hour_indexes import ask_index, index_file
from tests.support.shard_contents import contents

Record = tuple[int, bytes]
"""When it was logged (ms), and the body."""

KEY = IdentityKey(b"a key for tests!")


class Pipeline:
    def __init__(self, logs: Sequence[Sequence[Record]], shards: int, now_ms: int) -> None:
        self.logs = logs
        self.now_ms = now_ms
        self.hub: list[list[bytes]] = [[] for _ in range(shards)]
        self.parked: list[UnappliedRecord] = []
        self._owners = count()
        self._cells: list[dict[str, bytes]] = [{} for _ in logs]
        self._blobs: dict[tuple[int, int], list[bytes]] = {}
        """The sealed hours, by partition and hour."""
        self._indexes: dict[tuple[int, int], bytes] = {}
        """Their indexes."""
        self._files: list[bytes] = []
        """The indexes that were opened."""
        self._shard_values: list[dict[str, bytes]] = [{} for _ in range(shards)]
        self._committed = [0] * len(logs)
        self._shard_committed = [0] * shards
        self.days: dict[tuple[str, str], SongDay] = {}
        """The container of songs' days."""
        self._read = [0] * len(logs)
        self._applied = [0] * shards
        self._sources = [self._source(number) for number in range(len(logs))]
        self._shards = [Shard(number, self._owner(), KEY) for number in range(shards)]
        self._logs: list[list[tuple[str, bytes | None]]] = [[] for _ in range(shards)]
        """The changelog of each shard, which is never compacted."""
        self._through = [SavedThrough(-1, 0) for _ in range(shards)]
        self._images: dict[int, bytes] = {}
        self._early_ms = cycle([0, MINUTE_MS, HOUR_MS, 0, 30 * HOUR_MS])
        """How long before a shard is restored it is filled by its image."""
        self._lost: dict[int, tuple[Shard, SavedThrough]] = {}
        self._lost_sources: dict[int, tuple[SourcePartition, int]] = {}

    def read(self, number: int, size: int) -> None:
        self._read[number] += self._apply(self._sources[number], self._read[number], size)

    def _apply(self, source: SourcePartition, start: int, size: int) -> int:
        records = self.logs[source.number][start : start + size]
        if records:
            source.apply(
                Batch(
                    begin=start,
                    end=start + len(records),
                    offsets=range(start, start + len(records)),
                    logged_ms=[logged for logged, _ in records],
                    bodies=[body for _, body in records],
                )
            )
        return len(records)

    def flush(self, number: int, dies_after: int | None = None) -> None:
        """Flush a source; it may die after so many of the steps (messages sent, chunks saved)."""
        self._load_missing(self._sources[number])
        flush = self._sources[number].flush(self.now_ms)
        self.parked += self._sources[number].take_unapplied()
        steps = len(flush.partials) + len(flush.chunks)
        allowed = steps + 1 if dies_after is None else dies_after % (steps + 1)
        for shard, body in flush.partials[:allowed]:
            self.hub[shard].append(body)
        for key, value in islice(flush.chunks.items(), max(0, allowed - len(flush.partials))):
            assert value is not None
            self._cells[number][key] = value
        if allowed > steps:
            self._committed[number] = flush.position + 1
        else:
            self.restart(number)

    def seal(self, number: int, dies_after: int | None = None) -> None:
        """Seal every hour as `HourStore` does; it may die after so many of the steps (blocks added, chunks deleted)."""
        source, saved = self._sources[number], self._cells[number]
        steps = 0
        for hour in sorted({int(key.split("/")[1]) for key in saved}):
            source.cells.close_chunk(hour)
            keys = [key for key in saved if key.startswith(hour_prefix(number, hour))]
            for key in [None, *keys]:
                if steps == dies_after:
                    self.restart(number)
                    return
                if key is None:
                    block = pack_block(saved[key] for key in keys)
                    self._blobs.setdefault((number, hour), []).append(block)
                else:
                    del saved[key]
                steps += 1
            source.cells.unload(hour)

    def index(self, number: int, random: Random) -> None:
        """Make the indexes of the late hours of a partition, of all blocks or of the first ones; some are lost, and all
        hours are loaded anew."""
        for place, blocks in self._blobs.items():
            if place[0] == number and is_late(place[1], self.now_ms):
                covered = blocks[: random.randint(1, len(blocks))]
                self._indexes[place] = index_file(map(_chunks, covered), KEY, random.choice([0, 1 << 24]))
                if random.random() < 0.1:
                    del self._indexes[place]
                self._sources[number].cells.unload(place[1])

    def change_source(self, number: int) -> None:
        """Give the partition to another owner, while the one before goes on without knowing it."""
        self._lost_sources[number] = self._sources[number], self._read[number]
        self.restart(number)

    def flush_lost(self, number: int, size: int, allowed: int) -> None:
        """An owner that has lost the partition reads on, sends and saves; it may die on the way, and can't commit."""
        if number not in self._lost_sources:
            return
        source, start = self._lost_sources.pop(number)
        self._apply(source, start, size)
        self._load_missing(source)
        flush = source.flush(self.now_ms)
        for shard, body in flush.partials:
            self.hub[shard].append(body)
        self._cells[number] |= {key: value for key, value in list(flush.chunks.items())[:allowed] if value is not None}

    def restart(self, number: int) -> None:
        self._sources[number] = self._source(number)
        self._read[number] = self._committed[number]

    def apply(self, shard: int, size: int) -> None:
        start = self._applied[shard]
        for body in self.hub[shard][start : start + size]:
            self._take(shard, body)
        self._applied[shard] = min(start + size, len(self.hub[shard]))

    def apply_one(self, shard: int, message: int) -> None:
        self._take(shard, self.hub[shard][message])

    def _take(self, shard: int, body: bytes) -> None:
        partial = partials.decode(body)
        check_partial(partial, shard, self._limits(), self._shards[shard].songs)
        self._shards[shard].apply(partial)

    def _limits(self) -> StageLimits:
        return StageLimits(len(self.hub), len(self.logs), self.now_ms)

    def deliver_again(self, shard: int, random: Random) -> None:
        """Messages that were applied come again, out of turn."""
        for _ in range(min(3, self._applied[shard])):
            self.apply_one(shard, random.randrange(self._applied[shard]))

    def save_shard(self, shard: int, dies_after: int | None = None) -> None:
        values = self._shards[shard].flush()
        allowed = len(values) + 1 if dies_after is None else dies_after % (len(values) + 1)
        offsets = [self._save(shard, key, value) for key, value in islice(values.items(), allowed)]
        if allowed > len(values):
            self._through[shard].advance(offsets, 0)
            self._shard_committed[shard] = self._applied[shard]
        else:
            self.restart_shard(shard)

    def restart_shard(self, shard: int) -> None:
        self._shards[shard] = Shard(shard, self._owner(), KEY)
        for key, value in self._shard_values[shard].items():
            check_saved(key.encode(), value, shard, self._limits())
        self._shards[shard].restore(self._shard_values[shard].items())
        self._through[shard] = SavedThrough(len(self._logs[shard]) - 1, 0)
        if shard in self._images:
            early_ms = next(self._early_ms)
            self._check_image(shard, early_ms)
            self._shards[shard] = self._by_image(shard, early_ms)
        self._applied[shard] = self._shard_committed[shard]

    def image(self, shard: int, random: Random, *, lost: bool = False) -> None:
        """Write the image of a shard, while its owner goes on. `lost`: by an owner that has lost the shard."""
        if lost and shard not in self._lost:
            return
        owner, through = self._lost[shard] if lost else (self._shards[shard], self._through[shard])
        if not through.is_flushed:
            return
        offset, parts, body = through.offset, ShardImageParts(owner), list[bytes]()
        for step in parts.steps():
            body += step
            if not lost and random.random() < 0.2:
                self.apply(shard, 2)
                if random.random() < 0.5:
                    self.save_shard(shard)
        if lost:
            self.save_lost(shard)
        else:
            self.save_shard(shard)
        header = parts.header(KEY.id, "", 0, len(self._shards), offset, self.now_ms)
        self._images[shard] = header + b"".join(body)

    def _by_image(self, shard: int, early_ms: int) -> Shard:
        """The shard that was filled by its image so long ago, with what was saved since that was made; Faust reads the
        last record again."""
        image = decode_shard_image(self._images[shard])
        held = image.records
        for key, value in self._logs[shard][max(0, image.header.offset) :]:
            if value is None:
                held.pop(key, None)
            else:
                held[key] = value
        restored = Shard(shard, self._owner(), KEY, image=image)
        restored.advance(self.now_ms - early_ms)
        restored.fill()
        restored.advance(self.now_ms)
        restored.restore(held.items())
        return restored

    def _check_image(self, shard: int, early_ms: int) -> None:
        """A shard that is restored by its image is the one that is restored by its changelog, now and later."""
        found, expected = self._by_image(shard, early_ms), Shard(shard, self._owner(), KEY)
        expected.advance(self.now_ms)
        expected.restore(self._shard_values[shard].items())
        assert contents(found) == contents(expected)
        assert found.report(whole=True) == expected.report(whole=True)
        waiting, all_waiting = (one.days.due(1_000) for one in (found, expected))
        assert {one for one in waiting if one not in all_waiting} == set()
        # What a former owner has saved since the image was begun comes again, and lets its day wait then.
        again = self._by_image(shard, early_ms)
        for body in self.hub[shard][self._shard_committed[shard] :]:
            again.apply(partials.decode(body))
        waiting += again.days.due(1_000)
        for document in all_waiting:
            if not any((one.song_id, one.id) == (document.song_id, document.id) for one in waiting):
                assert self.days[document.song_id, document.id].total >= document.total, "it was written"
        for later_ms in (MINUTE_MS, HOUR_MS):
            for one in (found, expected):
                one.advance(self.now_ms + later_ms)
            assert found.report(whole=True) == expected.report(whole=True)
        later = (one.lists_at((self.now_ms + HOUR_MS) // HOUR_MS + 1) for one in (found, expected))
        assert next(later) == next(later)

    def record(self, shard: int, limit: int, dies_after: int | None = None, meanwhile: int = 0) -> None:
        """Write days that wait, as Cosmos DB does it under the condition that goes with it. So many messages are
        applied meanwhile; and the worker may die on the way, knowing nothing of the last one."""
        due = self._shards[shard].days.due(limit)
        self.apply(shard, meanwhile)
        for place, document in enumerate(due):
            self.put(document)
            if place == dies_after:
                self.restart_shard(shard)
                return
            self._shards[shard].days.written(document)

    def refuse(self, shard: int, limit: int, meanwhile: int = 0) -> None:
        """Refuse days that wait, as Cosmos DB does; so many messages are applied meanwhile."""
        due = self._shards[shard].days.due(limit)
        self.apply(shard, meanwhile)
        for document in due:
            self._shards[shard].days.refused(document)

    def put(self, document: SongDay) -> None:
        known = self.days.get((document.song_id, document.id))
        if known is None or known.total < document.total:
            self.days[document.song_id, document.id] = document

    def advance(self, shard: int, now_ms: int) -> None:
        self._shards[shard].advance(now_ms)

    def due(self, shard: int, limit: int) -> list[SongDay]:
        """Days that somebody is about to write."""
        return self._shards[shard].days.due(limit)

    def change(self, shard: int) -> None:
        """Give the shard to another owner, while the one before goes on without knowing it."""
        owner, through = self._shards[shard], self._through[shard]
        self.restart_shard(shard)
        self._lost[shard] = owner, through

    def save_lost(self, shard: int) -> None:
        """An owner that has lost the shard goes on with what it has: it applies, saves, writes; it can't commit."""
        if shard not in self._lost:
            return
        owner, through = self._lost[shard]
        for body in self.hub[shard][: self._applied[shard] + 2]:
            owner.apply(partials.decode(body))
        through.advance([self._save(shard, key, value) for key, value in owner.flush().items()], 0)

    def saved(self, shard: int) -> dict[str, bytes]:
        """What is saved of the shard, to be changed."""
        return self._shard_values[shard]

    def finish(self) -> None:
        """Everything is read, told and applied."""
        for number, log in enumerate(self.logs):
            self.read(number, len(log))
            self.flush(number)
        for shard, messages in enumerate(self.hub):
            self.apply(shard, len(messages))

    def tell(self, merge: Merge, now_ms: int, *, whole: bool, scoped: bool = True) -> None:
        for number, shard in enumerate(self._shards):
            shard.advance(now_ms)
            songs, tops = shard.report(whole=whole, scoped=scoped)
            for body in reports.report_bodies(number, whole, songs, tops, shard.watermark(now_ms), scoped=scoped):
                part = reports.decode(body)
                check_report_part(part, StageLimits(len(self.hub), len(self.logs), now_ms))
                merge.apply(part)

    def charts(self, now_ms: int) -> dict[str, Chart]:
        """The charts that a merge makes which has just started."""
        merge = Merge(len(self._shards))
        self.tell(merge, now_ms, whole=True)
        assert merge.ready
        return written(merge)

    def _save(self, shard: int, key: str, value: bytes | None) -> int:
        """Save a record, and return its offset."""
        self._logs[shard].append((key, value))
        if value is None:
            self._shard_values[shard].pop(key, None)
        else:
            self._shard_values[shard][key] = value
        return len(self._logs[shard]) - 1

    def _owner(self) -> str:
        return f"owner-{next(self._owners)}"

    def _source(self, number: int) -> SourcePartition:
        shared = (len(self.hub), SongIndex(len(self.hub)), RegionIndex(), UserHashes(), KEY)
        return SourcePartition(number, self._owner(), *shared, self._committed[number] - 1)

    def _load_missing(self, source: SourcePartition) -> None:
        for hour in source.cells.missing():
            if source.cells.indexed_cell(hour) is None:
                self._load(source, hour)
            if (cell := source.cells.indexed_cell(hour)) is not None:
                ask_index(source.cells, hour, self._files[int(cell.index.etag)])

    def _load(self, source: SourcePartition, hour: int) -> None:
        """Load what is saved of an hour, behind its index where it has one."""
        place = number, _ = source.number, hour
        index = None
        if (file := self._indexes.get(place)) is not None:
            index = decode_index(file, str(len(self._files)))
            self._files.append(file)
        cell = source.cells.new_cell(hour, index)
        for key, value in self._cells[number].items():
            check_cell(key.encode(), value, number)
            if key.startswith(hour_prefix(number, hour)):
                cell.restore([check_chunk(value, KEY.id)])
        for block in self._blobs.get(place, [])[0 if index is None else len(index.blocks) :]:
            cell.restore(_chunks(block))
        source.cells.add(cell)


def _chunks(block: bytes) -> list[SavedChunk]:
    return [check_chunk(chunk, KEY.id) for chunk in unpack_block(block) if isinstance(chunk, bytes)]


def hours(days: Iterable[SongDay]) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Listens, likes and unlikes of each song and hour in which there are any, as `reference.plays` has them."""
    found: dict[tuple[str, str], tuple[int, int, int]] = {}
    for day in days:
        columns = zip(day.listens, day.likes, day.unlikes, strict=True)
        found |= {(day.song_id, f"{day.id}T{hour:02}"): three for hour, three in enumerate(columns) if any(three)}
    return found


def written(merge: Merge) -> dict[str, Chart]:
    """Every chart that the merge knows and that is not empty."""
    charts = {key: merge.chart(key, {}) for key in sorted(merge.keys())}
    return {key: chart for key, chart in charts.items() if chart.entries}
