"""Capture files without a listener: their events are renamed, and the rest of the file stays as it was."""

import contextlib
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from songline.processors.history.archive import avro_blocks
from songline.processors.history.archive.avro_blocks import write_number
from songline.processors.history.erasure.capture_file import records_naming, rewrite
from songline.processors.history.erasure.capture_progress import CaptureProgress
from songline.processors.history.erasure.rewriting import CaptureFileError, ForgottenUpTo, RewriteCounts
from songline.schemas.envelope import Event, decode, encode
from songline.schemas.events import SongPlayed
from songline.schemas.forgotten import ForgottenNames, is_forgotten
from tests.support.capture_files import CAPTURE_SCHEMA

NAMES = ForgottenNames(bytes(range(32)))
USER = "user-7"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MOMENT = {"type": "long", "logicalType": "timestamp-millis"}


def record(position: int, user_id: str, body: bytes | None = None) -> dict[str, Any]:
    event = Event(id=f"e-{position}", source="/tests", time=NOON, data=SongPlayed(user_id=user_id, song_id="song-1"))
    return {
        "SequenceNumber": position,
        "Offset": str(100 * position),
        "EnqueuedTimeUtc": "11/22/2026 12:00:01 PM",
        "SystemProperties": {"x-opt-partition-key": user_id, "x-opt-sequence-number": position},
        "Properties": {"weight": 1.5, "raw": b"\x00", "by": user_id},
        "Body": encode(event) if body is None else body,
    }


def file_of(records: Sequence[dict[str, Any]], codec: str = "null", block_bytes: int = 2_000) -> bytes:
    target = io.BytesIO()
    fastavro.writer(target, CAPTURE_SCHEMA, records, codec=codec, sync_interval=block_bytes)
    return target.getvalue()


def with_block(count: int, plain: bytes, codec: str = "null", packed: bytes | None = None) -> bytes:
    """A file of one block."""
    data = file_of([], codec)
    packed = plain if packed is None else packed
    return data + write_number(count) + write_number(len(packed)) + packed + data[-16:]


def rewritten(data: bytes, user_id: str = USER) -> tuple[bytes, RewriteCounts]:
    target = io.BytesIO()
    counts = rewrite(io.BytesIO(data), target, user_id, NAMES)
    return target.getvalue(), counts


def records_of(data: bytes) -> list[Any]:
    return list(fastavro.reader(io.BytesIO(data)))


@effort(10)
@given(st.lists(st.integers(5, 8), max_size=60), st.sampled_from(["null", "deflate", "snappy"]))
def test_the_listeners_records_are_renamed_and_no_others(users: list[int], codec: str) -> None:
    before = [record(position, f"user-{user}") for position, user in enumerate(users)]
    data = file_of(before, codec)
    after, counts = rewritten(data)
    assert counts == RewriteCounts(len(users), users.count(7))
    found = records_of(after)
    assert len(found) == len(before)
    for was, now in zip(before, found, strict=True):
        if was["SystemProperties"]["x-opt-partition-key"] != USER:
            assert now == was
            continue
        name = decode(now["Body"]).data.user_id
        assert is_forgotten(name)
        assert now["SystemProperties"] == {**was["SystemProperties"], "x-opt-partition-key": name}
        assert now["Properties"] == {**was["Properties"], "by": name}
        assert (now["SequenceNumber"], now["Offset"]) == (was["SequenceNumber"], was["Offset"])
    assert USER not in str(found)
    assert rewritten(after) == (after, RewriteCounts(len(users), 0))


def test_blocks_without_the_listener_are_copied() -> None:
    data = file_of([record(position, "user-8") for position in range(50)], "deflate")
    assert rewritten(data)[0] == data


@pytest.mark.parametrize("body", [b"", b"not json user-7", json.dumps({"userId": USER}).encode()])
def test_what_is_no_event_is_renamed_too(body: bytes) -> None:
    after, counts = rewritten(file_of([record(0, USER, body)]))
    assert counts.renamed == 1
    (found,) = records_of(after)
    assert USER not in str(found)
    assert found["SystemProperties"]["x-opt-partition-key"] == NAMES.of_hour(int(NOON.timestamp()))


def test_an_empty_body_and_an_empty_file_stay() -> None:
    nothing = {**record(0, "user-8"), "Body": None}
    data = file_of([nothing])
    assert records_of(rewritten(data)[0]) == [nothing]
    empty = file_of([])
    assert rewritten(empty) == (empty, RewriteCounts(0, 0))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it is cut: it ends within its header, after 0 bytes"),
        (b"PK\x03\x04 something", "it begins with b'PK"),
        (file_of([record(0, USER)])[:30], "it is cut: it ends within its header, after 30 bytes"),
        (file_of([record(0, USER)])[:-20], "it is cut: it ends within block 0"),
        (file_of([record(0, USER)])[:-1] + b"!", "damaged in block 0: it does not end with the file's sync marker"),
        (file_of([record(0, USER)], "bzip2"), "codec is 'bzip2', expected one of null, deflate, snappy"),
        (with_block(1 << 40, USER.encode()), "a block says that it has 1099511627776 records, and has 6 bytes"),
        (with_block(1, USER.encode() * 99), "a record can't be read|not as long as it says"),
    ],
)
def test_what_can_not_be_rewritten_is_told(data: bytes, why: str) -> None:
    with pytest.raises(CaptureFileError, match=why):
        rewritten(data)


@settings(deadline=None)
@given(st.data())
def test_a_damaged_file_raises_nothing_else(data: st.DataObject) -> None:
    whole = bytearray(file_of([record(position, USER) for position in range(5)], "deflate"))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CaptureFileError):
        rewritten(bytes(whole))


def test_a_body_may_be_text_and_a_moment_one_of_avro() -> None:
    fields = [{"name": "Body", "type": "string"}, {"name": "EnqueuedTimeUtc", "type": MOMENT}]
    schema = {"type": "record", "name": "Other", "fields": fields}
    target = io.BytesIO()
    fastavro.writer(target, schema, [{"Body": f'{{"by": "{USER}"}}', "EnqueuedTimeUtc": NOON}])
    (found,) = records_of(rewritten(target.getvalue())[0])
    assert json.loads(found["Body"]) == {"by": NAMES.of_hour(int(NOON.timestamp()))}


@pytest.mark.parametrize("codec", ["deflate", "snappy"])
def test_a_block_that_unpacks_to_too_much_is_damaged(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avro_blocks, "MAX_BLOCK_BYTES", 1 << 20)
    data = file_of([record(0, USER, bytes(2 << 20))], codec, 1 << 24)
    with pytest.raises(CaptureFileError, match=r"damaged in block 0: .* unpacks .*(1048576|2\d{6}) bytes"):
        rewritten(data)
    with pytest.raises(CaptureFileError, match="damaged in block 0"):
        list(records_naming(io.BytesIO(data), USER))


def test_the_listeners_records_are_found() -> None:
    before = [record(position, f"user-{position % 3 + 6}") for position in range(20)]
    for codec in ("null", "deflate", "snappy"):
        found = list(records_naming(io.BytesIO(file_of(before, codec, 500)), USER))
        assert found == [one for one in before if one["Properties"]["by"] == USER]


@pytest.mark.parametrize(("created", "renamed"), [(NOON, 4), (NOON + timedelta(hours=1), 6)])
def test_what_they_did_after_they_were_forgotten_stays_theirs(created: datetime, renamed: int) -> None:
    before = [record(position, USER) for position in range(6)]
    target, up_to = io.BytesIO(), ForgottenUpTo(3, int(created.timestamp()))
    counts = rewrite(io.BytesIO(file_of(before)), target, USER, NAMES, up_to)
    found = records_of(target.getvalue())
    assert counts == RewriteCounts(6, renamed), "a hub before the present one had positions of its own"
    assert [is_forgotten(decode(one["Body"]).data.user_id) for one in found] == [at < renamed for at in range(6)]
    assert found[renamed:] == before[renamed:]


@pytest.mark.parametrize("time", ["", "then", "2026-11-22T12:00:01.500Z"])
def test_only_what_says_clearly_when_it_was_is_after_that(time: str) -> None:
    target = io.BytesIO()
    some = [{**record(9, USER), "EnqueuedTimeUtc": time}]
    counts = rewrite(io.BytesIO(file_of(some)), target, USER, NAMES, ForgottenUpTo(3, int(NOON.timestamp())))
    assert counts.renamed == (not time.startswith("2026"))


def test_files_of_the_hub_have_a_partition() -> None:
    emulator = "Endpoint=sb://localhost:5672;SharedAccessKeyName=a;SharedAccessKey=b;UseDevelopmentEmulator=true"
    progress = CaptureProgress({"AZURE_EVENTHUB_CONNECTIONSTRING": emulator})
    assert progress.partition_of("ns/music-events/3/2026/11/22/12/00/00.avro") == "3"
    assert progress.partition_of("ns/other-hub/3/2026/11/22/12/00/00.avro") is None
    azure = "Endpoint=sb://NS.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey=b"
    assert (
        CaptureProgress({"AZURE_EVENTHUB_CONNECTIONSTRING": azure}).partition_of(
            "ns2/music-events/3/2026/11/22/12/00/00.avro"
        )
        is None
    )
    assert (
        CaptureProgress({"AZURE_EVENTHUB_CONNECTIONSTRING": azure}).partition_of(
            "ns/music-events/3/2026/11/22/12/00/00.avro"
        )
        == "3"
    )
