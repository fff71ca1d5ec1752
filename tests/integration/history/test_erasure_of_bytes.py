"""The bytes of who is erased, while others upload the same."""

from functools import partial
from pathlib import Path

from songline.processors.ingestion.audio_store import AudioStore
from songline.processors.ingestion.transitions import begin
from songline.schemas.commands import Command, IngestSong, RemoveSong
from tests.support import audio
from tests.support.erasure import ErasureSystem, events_of, finish, ingest_command

CAPTURE = ("--capture-interval", "1")
"""The hub is captured every second."""


def removal(user_id: str, song_id: str, system: ErasureSystem) -> Command:
    order = RemoveSong(user_id=user_id, song_id=song_id)
    return Command(id=f"remove-{song_id}", source="/tests", time=system.now(), data=order)


async def test_bytes_go_once_no_other_upload_may_have_them(system: ErasureSystem, tmp_path: Path) -> None:
    """Those of an upload that was cancelled after it had been examined. Another listener's is in a worker's hands."""
    user_id, content = "ines-3", audio.song("wav", 0.2, pitch=555)
    await system.tell(*events_of(user_id)[:1])
    path = tmp_path / "song"
    path.write_bytes(content)
    for uploader in (user_id, "omar-3"):
        command = ingest_command(uploader, f"cancelled-{uploader[0]}", content, system.now())
        await system.app.ingestions.change(command.id, partial(begin, command=command, now=system.now()))
    assert isinstance(command.data, IngestSong)
    sha256 = command.data.upload.sha256
    await AudioStore(system.app.blobs).keep(sha256, path, "audio/wav", None)
    await system.runner.carry_out(removal(user_id, "cancelled-i", system), [])
    erasure = await system.request(user_id, "keep")

    waited: list[str] = []

    async def look(worker: str) -> None:
        await system.eraser(worker).round()
        progress = (await system.read(erasure.id)).progress
        if progress is not None and progress.name == "uploads" and not waited:
            waited.append(progress.waits_for)
            assert await system.app.song(sha256) == content
            await system.runner.carry_out(removal("omar-3", "cancelled-o", system), [])

    done = await finish(system, erasure.id, look)
    assert waited == ["another upload has the bytes of cancelled-i, and is being processed"]
    assert await system.app.song(sha256) is None
    found = done.step("uploads")
    assert found is not None
    assert found.counts["songs' files"] == 1
