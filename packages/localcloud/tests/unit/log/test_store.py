"""Hubs of a namespace: created once, found again, guarded against a second process and a changed declaration."""

import asyncio
import shutil
import sys
from pathlib import Path

import pytest

from localcloud.config import HubConfig
from localcloud.log.batch import build
from localcloud.log.errors import (
    HubExistsError,
    InvalidHubNameError,
    LogClosedError,
    LogOpenError,
    PartitionCountError,
    UnknownHubError,
)
from localcloud.log.hub_file import HubFile
from localcloud.log.store import LogStore
from localcloud.testing.waiting import wait_for_async

HUBS = [HubConfig("Orders", 4, ("Shop-Readers",)), HubConfig("parked", 1)]


def now_ms() -> int:
    return 1_700_000_000_000


async def test_declared_hubs_are_created_and_found_in_any_case(tmp_path: Path) -> None:
    async with LogStore.open(tmp_path, HUBS, now_ms) as store:
        hub = store.hub("ORDERS")
        assert (hub.name, len(hub.partitions), hub.created_at_ms) == ("Orders", 4, 1_700_000_000_000)
        assert hub.consumer_groups == {"$default", "shop-readers"}
        assert [hub.name for hub in store.hubs()] == ["Orders", "parked"]
        with pytest.raises(UnknownHubError, match="nothing-here"):
            store.hub("nothing-here")


async def test_a_reopened_store_keeps_events_creation_times_and_undeclared_hubs(tmp_path: Path) -> None:
    async with LogStore.open(tmp_path, HUBS, now_ms) as store:
        await store.hub("orders").partitions[3].append(build([(b"k", b"v")], 1))
        store.create_hub(HubConfig("extra", 2, compacted=True, retention_ms=None))
    async with LogStore.open(tmp_path, HUBS, lambda: 1_800_000_000_000) as store:
        hub = store.hub("orders")
        assert hub.created_at_ms == 1_700_000_000_000
        assert [partition.high_watermark for partition in hub.partitions] == [0, 0, 0, 1]
        assert store.hub("extra").config == HubConfig("extra", 2, compacted=True, retention_ms=None)


async def test_a_lower_partition_count_is_refused_with_what_to_do(tmp_path: Path) -> None:
    await LogStore.open(tmp_path, HUBS, now_ms).close()
    with pytest.raises(
        LogOpenError, match=r"has 4 partitions on disk and 2 in the configuration.*can grow.*PartitionCount back to 4"
    ):
        LogStore.open(tmp_path, [HubConfig("orders", 2)], now_ms)
    await LogStore.open(tmp_path, HUBS, now_ms).close()


async def test_a_hub_grows_with_its_declaration_and_keeps_what_it_has(tmp_path: Path) -> None:
    async with LogStore.open(tmp_path, HUBS, now_ms) as store:
        await store.hub("orders").partitions[3].append(build([(b"k", b"v")], 1))
    for _ in range(2):
        async with LogStore.open(tmp_path, [HubConfig("orders", 6)], lambda: 1_800_000_000_000) as store:
            hub = store.hub("orders")
            assert hub.created_at_ms == 1_700_000_000_000
            assert [partition.high_watermark for partition in hub.partitions] == [0, 0, 0, 1, 0, 0]
    with pytest.raises(LogOpenError, match="PartitionCount back to 6"):
        LogStore.open(tmp_path, [HubConfig("orders", 5)], now_ms)


async def test_a_hub_grows_while_it_is_open_and_stays_so_over_restarts(tmp_path: Path) -> None:
    async with LogStore.open(tmp_path, HUBS, now_ms) as store:
        hub = store.grow_hub("ORDERS", 6)
        assert hub is store.hub("orders")
        assert (len(hub.partitions), hub.config.partitions) == (6, 6)
        await hub.partitions[5].append(build([(b"k", b"v")], 1))
        for count in (6, 5, 0, -1):
            with pytest.raises(PartitionCountError, match="has 6 partitions; expected more"):
                store.grow_hub("orders", count)
        with pytest.raises(UnknownHubError):
            store.grow_hub("nothing-here", 6)
    for declared, count in ((4, 6), (5, 6), (8, 8)):
        config = [HubConfig("orders", declared)]
        async with LogStore.open(tmp_path, config, lambda: 1_800_000_000_000) as store:
            hub = store.hub("orders")
            assert (len(hub.partitions), hub.created_at_ms) == (count, 1_700_000_000_000)
            assert hub.partitions[5].high_watermark == 1
    async with LogStore.open(tmp_path, [], now_ms) as store:
        assert len(store.hub("orders").partitions) == 8


async def test_a_growth_that_a_crash_cuts_short_has_not_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with LogStore.open(tmp_path, HUBS, now_ms) as store:
        with monkeypatch.context() as patch:
            patch.setattr(HubFile, "write", _full)
            with pytest.raises(OSError, match="No space"):
                store.grow_hub("orders", 6)
        assert len(store.hub("orders").partitions) == 4
    async with LogStore.open(tmp_path, HUBS, now_ms) as store:
        assert len(store.hub("orders").partitions) == 4
        assert len(store.grow_hub("orders", 5).partitions) == 5


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")


async def test_a_hub_that_is_made_anew_has_another_creation_time(tmp_path: Path) -> None:
    async with LogStore.open(tmp_path, HUBS, now_ms) as store:
        created = [store.hub("parked").created_at_ms]
        for _ in range(3):  # by a clock that stands still
            store.delete_hub("parked")
            created.append(store.create_hub(HubConfig("parked", 1)).created_at_ms)
        assert created == sorted(set(created))
    async with LogStore.open(tmp_path, HUBS, now_ms) as store:
        assert store.hub("parked").created_at_ms == created[-1]
    shutil.rmtree(tmp_path / "hubs" / "parked")
    async with LogStore.open(tmp_path, HUBS, lambda: 1_800_000_000_000) as store:
        assert store.hub("parked").created_at_ms == 1_800_000_000_000


async def test_another_process_on_the_same_folder_is_told_so(tmp_path: Path) -> None:
    async with LogStore.open(tmp_path, HUBS, now_ms):
        code = (
            "import sys, pathlib; from localcloud.log.store import LogStore\n"
            "LogStore.open(pathlib.Path(sys.argv[1]), [], lambda: 0)"
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, str(tmp_path), stderr=asyncio.subprocess.PIPE
        )
        _, errors = await process.communicate()
        assert process.returncode == 1
        assert b"Another process" in errors


async def test_names_are_checked_and_taken_once(tmp_path: Path) -> None:
    async with LogStore.open(tmp_path, HUBS, now_ms) as store:
        for name in ("", "a/b", "..", "-a", "a" * 257, "ä"):
            with pytest.raises(InvalidHubNameError):
                store.create_hub(HubConfig(name, 1))
        with pytest.raises(HubExistsError):
            store.create_hub(HubConfig("PARKED", 1))


async def test_a_deleted_hub_is_gone_for_good_and_its_name_is_free(tmp_path: Path) -> None:
    async with LogStore.open(tmp_path, HUBS, now_ms) as store:
        partition = store.hub("parked").partitions[0]
        await partition.append(build([(b"k", b"v")], 1))
        store.delete_hub("Parked")
        with pytest.raises(UnknownHubError):
            store.hub("parked")
        with pytest.raises(LogClosedError):
            await partition.append(build([(b"k", b"v")], 1))
        assert store.create_hub(HubConfig("parked", 2)).partitions[0].high_watermark == 0


async def test_a_damaged_hub_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    await LogStore.open(tmp_path, HUBS, now_ms).close()
    (tmp_path / "hubs" / "parked" / "hub.json").write_text("{")
    with pytest.raises(LogOpenError, match="Restore it, or move the folder"):
        LogStore.open(tmp_path, HUBS, now_ms)


async def test_a_hub_of_a_long_name_is_created_and_deleted(tmp_path: Path) -> None:
    async with LogStore.open(tmp_path, HUBS, now_ms) as store:
        store.create_hub(HubConfig("x" * 255, 1))
        store.delete_hub("x" * 255)
        assert sorted(path.name for path in (tmp_path / "hubs").iterdir()) == ["orders", "parked"]


@pytest.mark.parametrize("leftover", [".new", ".deleted"])
async def test_what_a_crash_left_of_a_creation_or_a_deletion_is_swept_away(tmp_path: Path, leftover: str) -> None:
    (tmp_path / "hubs" / leftover / "0").mkdir(parents=True)
    async with LogStore.open(tmp_path, HUBS, now_ms) as store:
        assert store.hub("parked").partitions[0].high_watermark == 0
        assert sorted(path.name for path in (tmp_path / "hubs").iterdir()) == ["orders", "parked"]


async def test_the_running_loop_expires_and_compacts_and_outlives_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = [1_000_000]
    hubs = [HubConfig("kept", 1), HubConfig("table", 1, compacted=True), HubConfig("expiring", 1, retention_ms=1000)]
    store = LogStore.open(tmp_path, hubs, lambda: clock[0], segment_bytes=300)
    kept, table, expiring = (store.hub(config.name).partitions[0] for config in hubs)
    for partition in (kept, table, expiring):
        for number in range(5):
            await partition.append(build([(b"k", b"%d" % number * 200)], 1))
    size = table.size
    clock[0] += 1001
    refused = 0

    async def refuse() -> None:
        nonlocal refused
        refused += 1
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(kept, "maintain", refuse)
    upkeep = asyncio.create_task(store.maintain(every_seconds=0.01))

    async def done() -> bool:
        return refused > 1 and expiring.start_offset == 4 and table.size < size

    await wait_for_async(done, "retention and compaction, more than once")
    upkeep.cancel()
    await asyncio.wait((upkeep,))
    assert upkeep.cancelled()
    assert "maintenance failed, will be tried again" in caplog.text
    assert [batch.base_offset for batch in table.read(0, 1 << 20)] == [3, 4]
    assert (kept.start_offset, expiring.high_watermark) == (0, 5)
    await store.close()


async def test_an_open_store_keeps_house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogStore.maintain, "__defaults__", (0.01,))
    clock = [1_000_000]
    config = HubConfig("expiring", 1, retention_ms=1000)
    async with LogStore.open(tmp_path, [config], lambda: clock[0], segment_bytes=300) as store:
        partition = store.hub("expiring").partitions[0]
        for number in range(5):
            await partition.append(build([(b"k", b"%d" % number * 200)], 1))
        clock[0] += 1001

        async def expired() -> bool:
            return partition.start_offset == 4

        await wait_for_async(expired, "retention beside the open store")
