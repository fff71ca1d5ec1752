"""`songline parked`, as it is typed, over records in a hub and their documents."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.eventhub import EventData
from click.testing import CliRunner, Result
from msgspec import Struct, structs

from songline.cli import main
from songline.cloud import cosmos, eventhubs
from songline.cloud.settings import read_cosmos, read_eventhubs
from songline.processes.entities import CONTAINERS
from songline.processors.runtime.parked_store import ParkedStore
from songline.projections.api import create
from songline.schemas.channels import DATABASE, MUSIC_EVENTS, PARKED, TRENDING_PARTIALS
from songline.schemas.envelope import Event, decode, encode
from songline.schemas.events import SongLiked
from songline.schemas.parked import ParkedEvent, ParkedState, parked_event
from tests.support.localcloud import LocalCloud, nobody
from tests.support.worker import read_hub

CONFIG = Path(__file__).parents[3] / "infra" / "emulators" / "eventhubs" / "Config.json"
NOW = datetime.now(UTC)
OLD = NOW - timedelta(hours=3)
PARTITION = "2"
LIKE = Event(id="like-1", source="/tests", time=OLD, data=SongLiked(user_id="user-7", song_id="song-42"))
# Whole numbers and moments as no encoder of ours writes them, and more than a document keeps.
LARGE = encode(LIKE)[:-1] + b',"note":1.50,"at":"2026-11-28T00:00:00+00:00","padding":"' + b"x" * 300_000 + b'"}'
BODIES = (encode(LIKE), LARGE, b"\xff no event", encode(LIKE).replace(b"song-42", b"song/42"))
SMALL, BIG, JUNK, BROKEN = (f"{MUSIC_EVENTS}:{PARTITION}:{position}" for position in range(4))
PARTIAL = f"{TRENDING_PARTIALS}:0:5"
GONE, OTHER, ANEW = f"{MUSIC_EVENTS}:{PARTITION}:999", f"{MUSIC_EVENTS}:{PARTITION}:1:old", f"{MUSIC_EVENTS}:1:0"


class Desk(Struct):
    """A localcloud with parked records, and the command on it."""

    cloud: LocalCloud

    def type(self, *arguments: str, answer: str | None = None) -> Result:
        environment = {**self.cloud.environment, "COLUMNS": "80"}
        return CliRunner().invoke(main, ["parked", *arguments], env=environment, input=answer)

    def lines(self, *arguments: str) -> list[dict[str, Any]]:
        result = self.type(*arguments)
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.stdout.splitlines()]

    def ids(self, *arguments: str) -> list[str]:
        return [line["id"] for line in self.lines("list", "--json", *arguments)]

    def states(self) -> dict[str, ParkedState]:
        return {line["id"]: line["state"] for line in self.lines("list", "--json", "--state", "any")}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("parked")
    # Begun by an older version, which had a hub for what is parked.
    config = json.loads(CONFIG.read_text())
    config["UserConfig"]["NamespaceConfig"][0]["Entities"].append({"Name": "parked-events", "PartitionCount": 1})
    (folder / "old.json").write_text(json.dumps(config))
    LocalCloud(folder / "cloud", ["--config", str(folder / "old.json")]).start().stop()
    cloud = LocalCloud(folder / "cloud").start()
    asyncio.run(_fill(cloud))
    yield Desk(cloud)
    cloud.stop()


async def _fill(cloud: LocalCloud) -> None:
    environ = cloud.environment
    async with (
        eventhubs.producer(read_eventhubs(environ), MUSIC_EVENTS) as producer,
        cosmos.client(read_cosmos(environ)) as client,
    ):
        for body in BODIES:
            batch = await producer.create_batch(partition_id=PARTITION)
            batch.add(EventData(body))
            await producer.send_batch(batch)
        await cosmos.ensure(client, DATABASE, CONTAINERS)
        store = ParkedStore(cosmos.container(client, DATABASE, PARKED))
        for document in documents():
            await store.park(document)


def documents() -> Iterator[ParkedEvent]:
    def of(reader: str, hub: str, partition: str, position: int, body: bytes, reason: str, **more: Any) -> ParkedEvent:
        at = more.get("enqueued_at", datetime.now(UTC))
        return parked_event(reader, hub, partition, position, at, body, reason, "why it is", more.get("parked_at", NOW))

    yield of("library", MUSIC_EVENTS, PARTITION, 0, BODIES[0], "crashes-the-fold", parked_at=OLD)
    yield of("catalog", MUSIC_EVENTS, PARTITION, 0, BODIES[0], "refused-by-store", parked_at=OLD)
    yield of("library", MUSIC_EVENTS, PARTITION, 1, LARGE, "crashes-the-fold")
    yield of("trending", MUSIC_EVENTS, PARTITION, 2, BODIES[2], "not-an-event", parked_at=OLD)
    yield of("trending", MUSIC_EVENTS, PARTITION, 3, BODIES[3], "broken-contract")
    yield of("trending", TRENDING_PARTIALS, "0", 5, b"\x81", "not-an-event")
    yield of("library", MUSIC_EVENTS, PARTITION, 999, LARGE, "gone")
    yield of("library", MUSIC_EVENTS, "1", 0, LARGE, "gone", enqueued_at=OLD - timedelta(days=30))


def test_records_are_listed_by_reason_reader_age_and_state(desk: Desk) -> None:
    assert set(desk.ids()) == {SMALL, BIG, JUNK, BROKEN, PARTIAL, GONE, ANEW}
    assert desk.ids()[:2] in ([SMALL, JUNK], [JUNK, SMALL])
    assert set(desk.ids("--reason", "crashes-the-fold")) == {SMALL, BIG}
    assert desk.ids("--reader", "catalog") == [SMALL]
    assert set(desk.ids("--older-than", "2h")) == {SMALL, JUNK}
    assert desk.ids("--older-than", "2h", "--reader", "trending") == [JUNK]
    assert desk.ids("--state", "discarded") == []
    assert desk.type("list", "--reason", "nosuch").output == "No such record is parked.\n"
    table = desk.type("list").output
    assert "crashes-the-fold" in table
    assert "catalog" in table


async def test_the_api_lists_the_newest_and_counts_all_that_wait(desk: Desk) -> None:
    settings = read_cosmos(desk.cloud.environment)
    api = create(settings)
    async with (
        api.router.lifespan_context(api),
        httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://localhost") as http,
        cosmos.client(settings) as client,
    ):
        answer = (await http.get("/v1/parked")).json()
        assert (len(answer["records"]), answer["waiting"], answer["more"]) == (7, 7, False)
        assert {one["id"] for one in answer["records"][-2:]} == {SMALL, JUNK}
        assert answer["records"][0].keys() >= {"hub", "partition", "position", "bodyBytes", "readers", "parkedAt"}
        assert "body" not in answer["records"][0]
        container = cosmos.container(client, DATABASE, PARKED)
        store = ParkedStore(container)
        newer = [
            parked_event("library", "page", "0", n, NOW, b"", "x", "y", NOW + timedelta(seconds=n)) for n in range(21)
        ]
        for document in newer:
            await store.park(document)
        answer = (await http.get("/v1/parked")).json()
        assert [one["position"] for one in answer["records"]] == list(range(20, 0, -1))
        assert (answer["waiting"], answer["more"]) == (28, True)
        for document in newer:
            await container.delete_item(document.id, document.id)


def test_a_body_is_shown_whole_while_the_hub_has_it(desk: Desk) -> None:
    assert "song-42" in desk.type("show", SMALL).output
    (shown,) = desk.lines("show", BIG, "--json")
    assert (shown["bodyIsWhole"], len(shown["body"]) * 3 // 4 >= len(LARGE)) == (True, True)
    assert "\\xff no event" in desk.type("show", JUNK).output
    for parked_id, why in ((GONE, "has positions 0 to"), (ANEW, "was created again at")):
        result = desk.type("show", parked_id)
        assert (result.exit_code, "The body is not whole" in result.stderr, why in result.stderr) == (0, True, True)
    assert desk.type("show", "music-events:0:77").exit_code == 1


def test_what_can_be_sent_again_is_and_what_can_not_is_told_why(desk: Desk) -> None:
    ids = (SMALL, BIG, JUNK, BROKEN, PARTIAL, GONE)
    result = desk.type("resubmit", *ids, "--note", "mended", "--by", "ann", "--json")
    assert result.exit_code == 1
    assert "4 could not be sent again" in result.stderr
    told = {line["id"]: line for line in map(json.loads, result.stdout.splitlines())}
    assert {parked_id for parked_id, line in told.items() if line["done"] == "resubmitted"} == {SMALL, BIG}
    assert "it still breaks the contract: not-an-event" in told[JUNK]["why"]
    assert "broken-contract" in told[BROKEN]["why"]
    assert "trending-partials" in told[PARTIAL]["why"]
    assert "has positions 0 to" in told[GONE]["why"]
    states = desk.states()
    assert {states[parked_id] for parked_id in (SMALL, BIG)} == {"resubmitted"}
    assert {states[parked_id] for parked_id in (JUNK, BROKEN, PARTIAL, GONE)} == {"parked"}

    sent = [body for partition, position, body in asyncio.run(read_hub(desk.cloud.settings())) if position > 3]
    attributes = [json.loads(body) for body in sent]
    assert [one["resubmitof"] for one in attributes] == [SMALL, BIG]
    assert [one["resubmitfor"] for one in attributes] == ["catalog,library", "library"]
    assert [structs.replace(decode(body), resubmit_of=None, resubmit_for=frozenset()) for body in sent] == [LIKE, LIKE]
    assert b'"note":1.50,"at":"2026-11-28T00:00:00+00:00"' in sent[1]
    lines = [line for line in desk.lines("log") if line["action"] == "resubmit"]
    assert [(line["parkedId"], line["by"], line["note"]) for line in lines] == [
        (SMALL, "ann", "mended"),
        (BIG, "ann", "mended"),
    ]
    # Named by its id it may go again; readers count it once.
    assert desk.type("resubmit", SMALL).exit_code == 0


def test_what_is_given_up_stays_listed(desk: Desk) -> None:
    assert desk.type("discard", "--reader", "nobody", "--yes").exit_code == 0
    assert desk.lines("discard", "--reason", "gone", "--yes", "--json")[0]["done"] == "discarded"
    assert set(desk.ids("--state", "discarded")) == {GONE, ANEW}
    assert desk.type("discard", PARTIAL, answer="n\n").exit_code == 1
    assert PARTIAL in desk.ids()
    assert desk.type("discard", "--all", "--yes").exit_code == 0
    assert desk.ids() == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("resubmit",), "--all"),
        (("discard", "--yes"), "--all"),
        (("resubmit", "--all", SMALL), "--all"),
        (("resubmit", "--all", "--reason", "x"), "--all"),
        (("list", "--older-than", "soon"), "no age"),
        (("show", ""), "expected HUB:PARTITION:POSITION"),
    ],
)
def test_wrong_usage_is_told(desk: Desk, arguments: tuple[str, ...], words: str) -> None:
    result = desk.type(*arguments)
    assert (result.exit_code, words in result.output) == (2, True)


def test_unknown_records_and_services_that_are_away_have_exit_codes_of_their_own(desk: Desk) -> None:
    result = desk.type("discard", "music-events:0:77", "--yes")
    assert (result.exit_code, "there is no parked record music-events:0:77" in result.output) == (1, True)
    environment = {**nobody(desk.cloud.data).environment, "AZURE_COSMOS_CONNECTIONSTRING": ""}
    result = CliRunner().invoke(main, ["parked", "list"], env=environment)
    assert (result.exit_code, "AZURE_COSMOS" in result.output) == (2, True)
    result = CliRunner().invoke(main, ["parked", "list"], env=dict(nobody(desk.cloud.data).environment))
    assert (result.exit_code, "songline doctor" in result.output) == (3, True)
