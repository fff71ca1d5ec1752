"""The corpus of files that were broken or made to do harm, each in a process of its own."""

import asyncio
import multiprocessing
import os
import resource
import threading
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from songline.processors.ingestion.audio import flac_frames
from songline.processors.ingestion.audio.probe import ProbedAudio, RefusedAudio
from songline.processors.ingestion.audio.sandbox import ProbeFailedError, Sandbox, SandboxLimits
from tests.support.audio import song
from tests.support.hostile import READY, Case, bombs, broken


async def outcome(case: Case, folder: Path, limits: SandboxLimits | None = None) -> str:
    path = folder / case.file_name
    path.write_bytes(case.content)
    answer = await Sandbox(limits).probe(path)
    return READY if isinstance(answer, ProbedAudio) else answer.reason.cause


async def test_bombs_and_broken_files_hurt_nobody(tmp_path: Path) -> None:
    cases = {**bombs(), **dict(list(broken().items())[:6])}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    got = {name: await outcome(case, tmp_path) for name, case in cases.items()}
    assert got == {name: case.outcome for name, case in cases.items()}
    # Kilobytes: what the probes took is none of ours.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


async def test_a_file_that_costs_too_much_work_is_refused(tmp_path: Path) -> None:
    whole = song("flac")
    # The end is searched for a whole frame: here each of thousands of headers makes hope, and work.
    # (At 15 stands how large a frame can be; not known, more is searched.)
    at = whole.index(b"\xff\xf8", 8192)
    header = next(whole[at : at + end] for end in range(6, 17) if flac_frames.crc8(whole[at : at + end]) == 0)
    path = tmp_path / "song.flac"
    path.write_bytes(whole[:15] + bytes(3) + whole[18:] + header * 10_000)
    answer = await Sandbox(SandboxLimits(cpu_seconds=1)).probe(path)
    assert isinstance(answer, RefusedAudio)
    assert answer.reason.cause == "corrupt"
    assert "takes more than 1 s" in answer.reason.text


async def test_a_probe_that_has_no_answer_in_time_is_not_the_files_fault(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(ProbeFailedError, match=r"0\.5 s on the clock"):
        await Sandbox(SandboxLimits(seconds=0.5)).probe(path)


async def test_probes_run_side_by_side_and_leave_nothing_behind(tmp_path: Path) -> None:
    paths = []
    for number in range(6):
        paths.append(tmp_path / f"{number}.flac")
        paths[-1].write_bytes(song("flac", 0.5, pitch=300 + number))
    sandbox = Sandbox()
    assert all(isinstance(answer, ProbedAudio) for answer in await asyncio.gather(*map(sandbox.probe, paths)))
    assert multiprocessing.active_children() == []


async def test_a_probe_that_is_called_off_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(Sandbox().probe(path), 0.5)
    assert multiprocessing.active_children() == []


async def test_a_probe_that_is_called_off_while_its_process_starts_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, start = tmp_path / "pipe", ForkServerProcess.start
    os.mkfifo(path)
    begun, may_start = threading.Event(), threading.Event()

    def slowly(process: ForkServerProcess) -> None:
        begun.set()
        may_start.wait()
        start(process)

    monkeypatch.setattr(ForkServerProcess, "start", slowly)
    probing = asyncio.create_task(Sandbox().probe(path))
    await asyncio.to_thread(begun.wait)
    probing.cancel()
    asyncio.get_running_loop().call_later(0.1, may_start.set)
    with pytest.raises(asyncio.CancelledError):
        await probing
    assert may_start.is_set()
    assert multiprocessing.active_children() == []
