"""`songline forget` and `songline export` on a system that holds something of a listener."""

import asyncio
import json
import stat
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from songline.cli import main
from songline.cloud.settings import read_cosmos, read_eventhubs, read_servicebus
from songline.doctor.archive_reading import read_archive_facts
from songline.doctor.erasures import ask_erasures
from songline.schemas.channels import ARCHIVE_BLOBS
from songline.schemas.envelope import decode
from tests.support.capture_files import capture_file, record
from tests.support.erasure import ErasureSystem, events_of, read_hub
from tests.support.localcloud import LocalCloud, nobody

USER = "dora-5"


async def songline(system: ErasureSystem, *arguments: str, status: int = 0) -> Result:
    result = await asyncio.to_thread(
        CliRunner().invoke, main, list(arguments), env=dict(system.app.environment), catch_exceptions=False
    )
    assert result.exit_code == status, result.output
    return result


async def test_a_listener_is_exported_and_an_erasure_asked_for_and_taken_back(
    system: ErasureSystem, tmp_path: Path
) -> None:
    await system.tell(*events_of(USER))
    await system.apply()
    held = await system.held(USER)
    folder = tmp_path / "export"
    folder.mkdir(mode=0o755)
    await songline(system, "export", USER, "-o", str(folder))
    # Other users of this machine can't read them, also where they can look into the folder.
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["userId"] == USER
    assert sum(sum(kinds.values()) for kinds in manifest["counts"].values()) == len(held)
    for place, kinds in manifest["counts"].items():
        lines = [json.loads(line) for line in (folder / f"{place}.jsonl").read_text().splitlines()]
        rows = pyarrow.parquet.read_table(folder / f"{place}.parquet").to_pylist()
        assert len(lines) == len(rows) == sum(kinds.values())
        assert [line["value"] for line in lines] == [json.loads(row["value"]) for row in rows]
    assert manifest["counts"]["libraries"]["listen"] == 6
    assert sum(manifest["counts"][place].get(kind, 0) for place, kind in TAIL) == len(events_of(USER))

    counted = json.loads((await songline(system, "forget", USER, "--dry-run", "--json")).stdout)
    assert counted == manifest["counts"]
    request = ("forget", USER, "--songs", "keep", "--undo-window", "1h", "--by", "tests", "--json")
    asked = json.loads((await songline(system, *request, "--yes")).stdout)
    assert (asked["state"], asked["songs"]) == ("waiting", "keep")
    assert USER not in json.dumps(asked)
    assert asked["id"] in (await songline(system, "forget", "list")).stdout
    assert "begins at" in (await songline(system, "forget", "show", asked["id"])).stdout
    again = json.loads((await songline(system, *request, "--yes")).stdout)
    assert again["id"] == asked["id"]
    environ = system.app.environment
    assert [one.id for one in (await ask_erasures(read_cosmos(environ))).open] == [asked["id"]]
    for _ in range(2):
        undone = json.loads((await songline(system, "forget", "--undo", asked["id"], "--json")).stdout)
        assert undone["state"] == "undone"
    damaged = "ns/music-events/0/2026/11/22/12/00/00.avro"
    for name, body in ((damaged, b"Obj no more"), ("notes.txt", b"nobody"), ("more.txt", b"of dora-5.")):
        await system.app.blobs.get_blob_client(ARCHIVE_BLOBS, name).upload_blob(body)
    said = (await songline(system, "export", USER, "-o", str(folder))).output
    assert "1 files of the archive can't be read" in said
    counts = json.loads((folder / "manifest.json").read_text())["counts"]["archive"]
    assert (counts["damaged file"], counts["foreign file"]) == (1, 1)
    services = read_eventhubs(environ), read_servicebus(environ)
    seen = await read_archive_facts(environ, *services, datetime.now(UTC), every_file=False)
    assert seen.others == ("more.txt", "notes.txt")
    assert '"why":"it begins with b\'Obj ' in (folder / "archive.jsonl").read_text()


async def test_what_the_hub_has_and_the_archive_lacks_is_exported(system: ErasureSystem, tmp_path: Path) -> None:
    """Capture was turned on late, and turned off again: it has the events in the middle."""
    await system.tell(*events_of("late-1"))
    hub = await read_hub(system.app)
    ids = {one.id for one in events_of("late-1")}
    (partition,) = (name for name, records in hub.items() if any(b"late-1-0" in one.body for one in records))
    captured = [one for one in hub[partition] if b'"late-1' in one.body][2:5]
    name = f"ns/music-events/{partition}/2026/11/22/13/00/00.avro"
    body = capture_file([record(one.position, int(time.time()), one.body) for one in captured])
    await system.app.blobs.get_blob_client(ARCHIVE_BLOBS, name).upload_blob(body)
    folder = tmp_path / "export"
    await songline(system, "export", "late-1", "-o", str(folder))

    def exported(place: str) -> set[str]:
        records = map(json.loads, (folder / f"{place}.jsonl").read_text().splitlines())
        return {json.loads(one["value"]["body"])["id"] for one in records if "event" in one["kind"]}

    assert exported("archive") >= {decode(one.body).id for one in captured}
    assert exported("archive") | exported("hub") == ids
    assert not exported("hub") & {decode(one.body).id for one in captured}


TAIL = (("archive", "event"), ("hub", "event of the hub"))


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("forget",), 2, "Name one listener"),
        (("forget", "a", "b"), 2, "Name one listener"),
        (("forget", "a b", "--dry-run"), 2, "expected 1 to 128 characters"),
        (("forget", "forgotten:" + "0" * 32, "--dry-run"), 2, "stands for a listener who was forgotten"),
        (("forget", USER), 2, "--songs remove"),
        (("forget", "show", "nothing"), 1, "there is no erasure nothing: `songline forget list`"),
        (("forget", "--undo", "nothing"), 1, "there is no erasure nothing"),
        (("forget", "show", ""), 2, "ID: saw '', expected 1 to 128 characters"),
        (("forget", "show", "../a"), 2, "ID: saw '../a', expected 1 to 128 characters"),
        (("forget", "--undo", ""), 2, "ID: saw '', expected 1 to 128 characters"),
    ],
)
async def test_what_can_not_be_done_is_a_sentence(
    system: ErasureSystem, arguments: tuple[str, ...], status: int, said: str
) -> None:
    assert said in (await songline(system, *arguments, status=status)).output


def test_a_service_that_is_away_is_told(erasure_cloud: LocalCloud) -> None:
    result = CliRunner().invoke(main, ["forget", "list"], env=dict(nobody(erasure_cloud.data).environment))
    assert result.exit_code == 3
    assert "songline doctor" in result.output
