"""Uploads of 8 MB beside the SDK's bare upload of the same bytes: to 202, to `ready`, and the API's memory."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from time import perf_counter

import httpx

from bench.machine import rss_bytes
from bench.measurement import Measurement
from songline.api.app import EACH
from songline.schemas.channels import UPLOAD_BLOBS
from tests.support.api import ApiProcess
from tests.support.audio import song
from tests.support.ingestion import App, WorkerProcess
from tests.support.localcloud import LocalCloud

REGION = (
    "Inside: from the first upload sent to the last 202, and to the moment when all are seen to be ready; 16 at once, "
    "each a body of a known length. The peer sends the same bytes by `upload_blob` with the settings of the product's "
    "client, 16 at once. Outside: starting processes, making files, one upload that opens links."
)
UPLOADS = 100
AT_ONCE = 16
SECONDS = 90.7
"""Of mono PCM at 44,100 Hz: 8 MB."""


def measure(quick: bool) -> list[Measurement]:
    count = AT_ONCE if quick else UPLOADS
    base = song("wav", SECONDS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cloud = LocalCloud(folder / "cloud", ["--blobs"]).start()
        api = ApiProcess({**cloud.environment, EACH: str(AT_ONCE)}, folder / "api.log")
        worker = WorkerProcess(cloud.environment, folder / "worker.log")
        try:
            return asyncio.run(_compare(cloud, api, worker, [_varied(base, number) for number in range(count)]))
        finally:
            worker.kill()
            api.kill()
            cloud.stop()


async def _compare(
    cloud: LocalCloud, api: ApiProcess, worker: WorkerProcess, files: Sequence[bytes]
) -> list[Measurement]:
    size = sum(map(len, files)) / 1e6
    async with (
        App(cloud) as app,
        api.start().client(timeout=120) as http,
    ):
        worker.start()
        await _until_ready(http, [await _upload(http, _varied(files[0], len(files)))])
        bare_s = await _bare(app, files)
        memory_before, peak = rss_bytes(api.pid), 0
        ids: list[str] = []

        async def upload(file: bytes) -> None:
            nonlocal peak
            ids.append(await _upload(http, file))
            peak = max(peak, rss_bytes(api.pid))

        begun = perf_counter()
        await _each(files, upload)
        accepted_s = perf_counter() - begun
        await _until_ready(http, ids)
        ready_s = perf_counter() - begun
    rates = [("to 202", size / accepted_s, ">= 0.7"), ("to `ready`", size / ready_s, ">= 0.35")]
    return [
        *(
            Measurement(
                row=10,
                what=f"{len(files)} uploads of 8 MB, {what}",
                figure=round(rate, 1),
                unit="MB/s",
                wanted=wanted,
                ratio=round(rate * bare_s / size, 2),
                peer="the SDK's bare upload",
                peer_figure=round(size / bare_s, 1),
            )
            for what, rate, wanted in rates
        ),
        Measurement(
            row=10,
            what="the API's memory with 16 at once, above that after one",
            figure=round((peak - memory_before) / 2**20, 1),
            unit="MiB",
            wanted="<= 64",
        ),
    ]


async def _bare(app: App, files: Sequence[bytes]) -> float:
    container = app.blobs.get_container_client(UPLOAD_BLOBS)
    names = iter(range(len(files)))

    async def upload(file: bytes) -> None:
        await container.upload_blob(f"bench-{next(names)}", file, length=len(file))

    begun = perf_counter()
    await _each(files, upload)
    return perf_counter() - begun


async def _each(files: Sequence[bytes], call: Callable[[bytes], Awaitable[None]]) -> None:
    left = iter(files)

    async def work() -> None:
        for file in left:
            await call(file)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def _upload(http: httpx.AsyncClient, file: bytes) -> str:
    response = await http.post("/v1/songs", content=file, headers={"Content-Type": "audio/wav", "X-User-Id": "user-1"})
    assert response.status_code == 202, response.text
    made: str = response.json()["id"]
    return made


async def _until_ready(http: httpx.AsyncClient, ids: Sequence[str]) -> None:
    left = list(ids)
    while left:
        state = (await http.get(f"/v1/ingestions/{left[-1]}")).json()["state"]
        assert state not in ("rejected", "dead"), state
        if state == "ready":
            left.pop()
        else:
            await asyncio.sleep(0.05)


def _varied(file: bytes, number: int) -> bytes:
    """The same song with another last sample, so that each upload has bytes of its own."""
    return file[:-4] + number.to_bytes(4, "little")
