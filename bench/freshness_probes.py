"""How long it takes until what the hub acknowledged is in an answer of the API, asked as an app would ask."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import aiohttp
import numpy as np
from azure.eventhub.aio import EventHubProducerClient
from azure.eventhub.exceptions import EventHubError
from msgspec import Struct

from songline.identity.scopes import Scope
from songline.identity.token_source import token_source
from songline.producers.publishing.publisher import EventPublisher
from songline.schemas.envelope import Event, encode
from songline.schemas.events import Payload, SongLiked, SongUploaded
from tests.support.audio import song

POLL_S, POLL_PART = 0.05, 0.05
"""A probe is asked for every POLL_S at first, and of what is late every POLL_PART of its age: where a worker is far
behind, hundreds of probes wait. What is asked for more seldom is seen later, never earlier."""

NO_ANSWER = (aiohttp.ClientError, TimeoutError)

UPLOADER = "prober"

LISTENERS = 50
"""Listeners of probes, whose libraries stay of a usual size."""


def api_client(address: str, environ: Mapping[str, str]) -> aiohttp.ClientSession:
    """A client of the API, with tokens of the issuer in `environ` that allow all that probes ask."""
    source = token_source(environ, user=UPLOADER, scopes=[Scope.CHARTS_READ, Scope.LIBRARY_READ_ANY, Scope.SONGS_WRITE])

    async def show(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        request.headers["Authorization"] = f"Bearer {await asyncio.to_thread(source.token)}"
        return await handler(request)

    return aiohttp.ClientSession(address, timeout=aiohttp.ClientTimeout(10), middlewares=[show])


class Sighting(Struct, frozen=True):
    """When something was sent, when it was acknowledged, as far as this process had heard of it, and when an answer
    had it, or when that was given up: it took so long at least. Monotonic seconds."""

    sent: float
    acknowledged: float
    seen: float

    @property
    def took_s(self) -> float:
        return self.seen - self.acknowledged


_NUMBERS = 1_000_000
"""More than a prober sends."""

Send = Callable[[int], Awaitable[str]]
"""Sends probe number n; what it is known by, once it is acknowledged."""
Seen = Callable[[int, str], Awaitable[bool]]
"""Whether an answer has probe number n."""


class Prober:
    """Sends a probe every `period_s`, and asks for each until it is seen, or for `patience_s`."""

    def __init__(self, send: Send, seen: Seen, period_s: float, patience_s: float) -> None:
        self._send, self._seen, self._period_s, self._patience_s = send, seen, period_s, patience_s
        self._ended = asyncio.Event()
        self.sightings: list[Sighting] = []
        self.asked = 0
        """How often it has asked."""

    async def run(self) -> None:
        """Probe until `end`, and then until all that was sent is seen or given up: the last ones may be the latest."""
        async with asyncio.TaskGroup() as group:
            number = 0
            while not self._ended.is_set():
                group.create_task(self._probe(number))
                number += 1
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._ended.wait(), self._period_s)

    def end(self) -> None:
        """Send no more probes."""
        self._ended.set()

    async def _probe(self, number: int) -> None:
        sent = time.monotonic()
        known = await self._send(number)
        acknowledged = time.monotonic()
        while not await self._asked(number, known):
            if time.monotonic() - acknowledged > self._patience_s:
                break
            await asyncio.sleep(max(POLL_S, POLL_PART * (time.monotonic() - acknowledged)))
        self.sightings.append(Sighting(sent, acknowledged, time.monotonic()))

    async def _asked(self, number: int, known: str) -> bool:
        self.asked += 1
        try:
            return await self._seen(number, known)
        except NO_ANSWER:
            return False


class ApiProbes:
    """The probes of each worker. `run` makes what they send differ from what another run sent; each prober sends other
    songs than those before it."""

    def __init__(self, client: aiohttp.ClientSession, publisher: EventPublisher, run: str) -> None:
        self._client, self._publisher, self._run = client, publisher, run
        self._probers = 0

    def library(self, period_s: float, patience_s: float) -> Prober:
        """A like, and the listener's library that has it."""
        return self._prober(self._like, self._liked, period_s, patience_s)

    def catalog(self, period_s: float, patience_s: float) -> Prober:
        """An upload's event, and the song."""
        return self._prober(self._announce, self._found, period_s, patience_s)

    def ingestion(self, period_s: float, patience_s: float) -> Prober:
        """A file, and its ingestion that is ready."""
        return self._prober(self._upload, self._ready, period_s, patience_s)

    def _prober(self, send: Send, seen: Seen, period_s: float, patience_s: float) -> Prober:
        """A prober with numbers of its own: what an earlier one announced is found at once."""
        first = self._probers * _NUMBERS
        self._probers += 1
        return Prober(lambda one: send(first + one), lambda one, known: seen(first + one, known), period_s, patience_s)

    async def _like(self, number: int) -> str:
        song_id = f"probe-{self._run}-{number}"
        await self._publish(song_id, SongLiked(user_id=self._listener(number), song_id=song_id, region="DE"))
        return song_id

    async def _liked(self, number: int, song_id: str) -> bool:
        path = f"/v1/users/{self._listener(number)}/library"
        async with self._client.get(path, params={"filter": "liked", "limit": 5}) as answer:
            return answer.status == 200 and any(one["songId"] == song_id for one in (await answer.json())["entries"])

    async def _announce(self, number: int) -> str:
        song_id = f"probe-song-{self._run}-{number}"
        data = SongUploaded(user_id=UPLOADER, song_id=song_id, title="A Probe", artist="Prober", duration_ms=200_000)
        await self._publish(song_id, data)
        return song_id

    async def _found(self, number: int, song_id: str) -> bool:
        async with self._client.get(f"/v1/songs/{song_id}") as answer:
            return answer.status == 200

    async def _upload(self, number: int) -> str:
        # Bytes of its own: a file that is known already is stored once.
        body = song("flac", 1.0, tags={"title": f"Probe {self._run} {number}", "artist": "Prober"})
        name = {"userId": UPLOADER}
        headers = {"Content-Type": "audio/flac"}
        async with self._client.post("/v1/songs", params=name, data=body, headers=headers) as answer:
            answer.raise_for_status()
            return str((await answer.json())["id"])

    async def _ready(self, number: int, ingestion: str) -> bool:
        async with self._client.get(f"/v1/ingestions/{ingestion}") as answer:
            return answer.status == 200 and (await answer.json())["state"] == "ready"

    async def _publish(self, name: str, data: Payload) -> None:
        event = Event(id=name, source="/bench/probe", time=datetime.now(UTC), data=data)
        outcome = await (await self._publisher.submit(encode(event), event.partition_key))
        assert outcome == "sent", outcome

    def _listener(self, number: int) -> str:
        return f"prober-{number % LISTENERS}"


class ChartAges:
    """How old the last event is that the global chart counts, by when the hub took it.

    The hub is asked for its ends all the time, so that the moment of a position is known.
    """

    def __init__(self, client: aiohttp.ClientSession, hub: EventHubProducerClient, period_s: float) -> None:
        self._client, self._hub, self._period_s = client, hub, period_s
        self._ends: dict[str, list[tuple[int, float]]] = {}
        self.ages: list[tuple[float, float]] = []
        """Monotonic moments, and the age of the chart then: of the partition that is the furthest behind."""
        self.counted: list[tuple[float, int]] = []

    async def run(self) -> None:
        """Ask until cancelled."""
        async with asyncio.TaskGroup() as group:
            for partition in await self._hub.get_partition_ids():
                self._ends[partition] = []
                group.create_task(self._follow(partition))
            group.create_task(self._ask())

    def age_s(self, position: dict[str, int]) -> float:
        """How long ago the hub took the first event that these positions leave out, 0 if there is none."""
        now, oldest = time.time(), 0.0
        for partition, ends in self._ends.items():
            left_out = position.get(partition, -1) + 1
            if ends and ends[-1][0] >= left_out:
                # Between two moments at which the hub was asked, events come evenly.
                oldest = max(oldest, now - float(np.interp(left_out, [end for end, _ in ends], [at for _, at in ends])))
        return oldest

    async def _follow(self, partition: str) -> None:
        task = asyncio.current_task()
        assert task is not None
        # Python 3.11's `wait_for`, by which the SDK reads, swallows a cancellation that comes with an answer.
        while not task.cancelling():
            with suppress(EventHubError):
                found = await self._hub.get_partition_properties(partition)
                ends = self._ends[partition]
                ends.append((found["last_enqueued_sequence_number"], found["last_enqueued_time_utc"].timestamp()))
                del ends[:-2_000]
            await asyncio.sleep(self._period_s / 4)

    async def _ask(self) -> None:
        while True:
            with suppress(*NO_ANSWER):
                async with self._client.get("/v1/charts/top/1h", params={"limit": 1}) as answer:
                    if answer.status == 200:
                        position = (await answer.json())["position"]
                        self.ages.append((time.monotonic(), self.age_s(position)))
                        self.counted.append((time.monotonic(), sum(position.values()) + len(position)))
            await asyncio.sleep(self._period_s)


@asynccontextmanager
async def running(*coroutines: Awaitable[None]) -> AsyncIterator[None]:
    """These run for as long as the block does. What they raise is raised at its end."""
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
    for result in done:
        if isinstance(result, Exception):
            raise result
