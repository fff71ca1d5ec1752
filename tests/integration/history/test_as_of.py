"""Charts and libraries as of a moment, from the archive in Blob Storage through the API to the terminal."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from random import Random

import msgspec
import pytest
from azure.storage.blob.aio import ContainerClient
from msgspec import structs

from songline.audit.chart_reference import Rules
from songline.cli import main
from songline.cloud import blobs
from songline.cloud.settings import read_blobs
from songline.processors.history.archive.name_format import NameFormat
from songline.processors.history.as_of import process
from songline.processors.history.as_of.answers import (
    ChartsQuestion,
    FoldFailure,
    LibraryQuestion,
    PastCharts,
    PastLibrary,
)
from songline.processors.history.as_of.process import answer
from songline.processors.history.charts.song_events import SongEventStore
from songline.schemas.channels import ARCHIVE_BLOBS, MUSIC_EVENTS
from songline.schemas.documents import Chart
from songline.schemas.envelope import encode
from songline.schemas.erasures import Erasure
from songline.schemas.library.answers import Library, LibrarySummary, Recent
from songline.schemas.moments import moment_at
from tests.support.api import ApiProcess
from tests.support.capture_files import capture_file, record
from tests.support.history import HistoryBatch, HistoryEvent, HistoryInFiles, random_history
from tests.support.localcloud import LocalCloud
from tests.support.worker import make_containers
from tests.unit.history.test_chart_replay import act, expected
from tests.unit.history.test_library_as_of import prefix_library
from tests.unit.history.test_names_to_come import erasure
from tests.unit.trending.test_pipeline import PARTITIONS, USERS, lines

DAY_S = 86_400
NAMES = NameFormat.default(MUSIC_EVENTS)


async def write_archive(cloud: LocalCloud, history: Sequence[HistoryEvent], name: str = ARCHIVE_BLOBS) -> None:
    """Write the history into the archive as Capture does, three files a partition."""
    by_partition = defaultdict(list)
    for one in history:
        by_partition[one.partition].append(one)
    async with blobs.client(read_blobs(cloud.environment)) as account:
        container = account.get_container_client(name)
        if not await container.exists():
            await container.create_container()
        for partition, events in by_partition.items():
            for start in range(0, len(events), 8):
                some = events[start : start + 8]
                records = [record(one.position, one.second, encode(one.event)) for one in some]
                moment = moment_at(some[-1].second * 1_000 + start)
                path = NAMES.path("emulatorNs1", MUSIC_EVENTS, str(partition), moment)
                await container.upload_blob(path, capture_file(records))


def numbered(history: Sequence[HistoryEvent]) -> list[HistoryEvent]:
    """The history with the positions of a hub, which begin at 0 in each partition."""
    following: dict[int, int] = defaultdict(int)
    found = []
    for one in history:
        found.append(msgspec.structs.replace(one, position=following[one.partition]))
        following[one.partition] += 1
    return found


@pytest.fixture(scope="module")
def history() -> list[HistoryEvent]:
    return random_history(Random(11), int(time.time()) - 20 * DAY_S, 70, act)


@pytest.fixture(scope="module")
def cloud(song_cloud: LocalCloud, history: list[HistoryEvent]) -> LocalCloud:
    asyncio.run(make_containers(song_cloud.settings()))
    asyncio.run(write_archive(song_cloud, numbered(history)))
    return song_cloud


@pytest.fixture(scope="module")
def api(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    api = ApiProcess(cloud.environment, tmp_path_factory.mktemp("api") / "log").start()
    yield api
    api.kill()


def as_of(second: int) -> str:
    return moment_at(second * 1_000).isoformat()


def test_charts_of_moments_are_the_folds_of_what_the_hub_had_then(api: ApiProcess, history: list[HistoryEvent]) -> None:
    with api.blocking_client(timeout=120) as client:
        for second in (history[len(history) // 2].second, history[-1].second):
            wanted = expected(history, second, second, Rules())
            keys = [*wanted, "top:5m:region:ZW"]
            for key in keys:
                kind, window, scope = key.split(":", 2)
                answer = client.get(f"/v1/charts/{kind}/{window}", params={"scope": scope, "asOf": as_of(second)})
                assert answer.status_code == 200, answer.text
                chart = msgspec.json.decode(answer.content, type=Chart)
                assert lines({key: chart})[key] == wanted.get(key, []), key
                assert chart.as_of == chart.complete_through == moment_at(second * 1_000)
                assert (chart.kind, chart.window, chart.scope) == (kind, window, scope)


def test_libraries_of_moments_are_the_folds_of_what_the_hub_had_then(
    api: ApiProcess, history: list[HistoryEvent]
) -> None:
    second = history[len(history) // 2].second
    params = {"asOf": as_of(second)}
    with api.blocking_client(timeout=120) as client:
        for user in USERS[:1]:
            wanted = prefix_library(numbered(history), user, second)
            found = client.get(f"/v1/users/{user}/library", params={**params, "limit": "100"})
            assert found.status_code == 200, found.text
            library = msgspec.json.decode(found.content, type=Library)
            assert {one.song_id: one.plays for one in library.entries} == {
                one.song_id: one.plays for one in wanted.songs
            }
            summary = msgspec.json.decode(
                client.get(f"/v1/users/{user}/summary", params=params).content, type=LibrarySummary
            )
            assert (summary.listens, summary.liked) == (wanted.listens, wanted.liked)
            recent = msgspec.json.decode(client.get(f"/v1/users/{user}/recent", params=params).content, type=Recent)
            assert [one.song_id for one in recent.listens] == [song_id for _, song_id, _ in wanted.recent]
            assert recent.complete_through == moment_at(second * 1_000)


async def test_of_a_moment_whose_events_are_gone_the_answer_says_which(
    cloud: LocalCloud, history: list[HistoryEvent]
) -> None:
    """Capture was turned on late, and the hub has deleted what was before."""
    late = [one for one in numbered(history) if one.position >= 3]
    await write_archive(cloud, late, "archive-late")
    environ = {**cloud.environment, "SONGLINE_ARCHIVE_CONTAINER": "archive-late"}
    for question in (LibraryQuestion(history[-1].second, USERS[0]), ChartsQuestion(late[0].second, 1)):
        found = await answer(question, environ)
        assert isinstance(found, FoldFailure)
        for words in ("lacks positions 0 to 2", "Capture was turned on late", "songline rebuild", "--skip"):
            assert words in found.sentence


async def test_of_a_moment_that_needs_a_damaged_file_the_answer_says_how_to_go_on(
    cloud: LocalCloud, history: list[HistoryEvent]
) -> None:
    await write_archive(cloud, numbered(history), "archive-cut")
    async with blobs.client(read_blobs(cloud.environment)) as account:
        container = account.get_container_client("archive-cut")
        (path, *_) = sorted([blob.name async for blob in container.list_blobs()])
        content = await (await container.download_blob(path)).readall()
        await container.upload_blob(path, content[:-20], overwrite=True)
    environ = {**cloud.environment, "SONGLINE_ARCHIVE_CONTAINER": "archive-cut"}
    for question in (LibraryQuestion(history[-1].second, USERS[0]), ChartsQuestion(history[-1].second, 1)):
        found = await answer(question, environ)
        assert isinstance(found, FoldFailure)
        for words in (path, "is damaged", "until the file is restored", "songline rebuild"):
            assert words in found.sentence


async def test_charts_are_folded_again_where_a_listener_is_forgotten_meanwhile(
    cloud: LocalCloud, history: list[HistoryEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read before has their id, and what was read after has names."""
    second = history[-1].second
    known = structs.replace(erasure(USERS[0], {str(number): len(history) for number in range(PARTITIONS)}), key="")
    for forgotten, expected_kind in ((1, PastCharts), (process.TRIES + 1, FoldFailure)):
        looks = 0

        async def keyed(environ: Mapping[str, str], forgotten: int = forgotten) -> list[Erasure]:
            nonlocal looks
            looks += 1
            return [structs.replace(known, id=f"{at}", user_id=None) for at in range(min(forgotten, looks))]

        monkeypatch.setattr(process, "read_keyed", keyed)
        found = await answer(ChartsQuestion(second, 1), cloud.environment)
        assert isinstance(found, expected_kind)
        if isinstance(found, PastCharts):
            assert lines(found.charts) == expected(history, second, second, Rules())
        else:
            assert found.sentence == process.FORGOTTEN_MEANWHILE


async def test_a_library_whose_listener_was_forgotten_while_it_was_read_is_no_answer(
    cloud: LocalCloud, history: list[HistoryEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However far the erasure has come since: what was read may lack a part of it."""
    bounds = {str(number): len(history) for number in range(PARTITIONS)}
    for user_id, state in ((USERS[0], "running"), (USERS[0], "done"), (USERS[1], "running")):
        begun = structs.replace(erasure(user_id, bounds), state=state)
        known = iter([[], [begun]])

        async def keyed(environ: Mapping[str, str], known: Iterator[list[Erasure]] = known) -> list[Erasure]:
            return next(known)

        monkeypatch.setattr(process, "read_keyed", keyed)
        found = await answer(LibraryQuestion(history[-1].second, USERS[0]), cloud.environment)
        if user_id == USERS[0]:
            assert found == FoldFailure(process.FORGOTTEN_MEANWHILE)
        else:
            assert isinstance(found, PastLibrary)


class ErasedMeanwhile(HistoryInFiles):
    """A history of which an erasure deletes what is kept beside it, while it is read."""

    def __init__(self, history: Sequence[HistoryEvent], container: ContainerClient) -> None:
        super().__init__(Random(1), history, PARTITIONS)
        self._container = container

    async def read(
        self, partition: str, after: int = -1, until_s: int | None = None
    ) -> AsyncGenerator[HistoryBatch, None]:
        async for batch in super().read(partition, after, until_s):
            async for name in self._container.list_blob_names():
                await self._container.delete_blob(name)
            yield batch


async def test_song_events_that_were_read_before_an_erasure_are_not_kept_after_it(
    cloud: LocalCloud, history: list[HistoryEvent]
) -> None:
    async with blobs.client(read_blobs(cloud.environment)) as account:
        container = account.get_container_client("index-erased")
        erased, whole = ErasedMeanwhile(history, container), HistoryInFiles(Random(1), history, PARTITIONS)
        for read, kept in ((erased, []), (whole, ["song-events/0"]), (erased, ["song-events/0"])):
            last = max(one.position for one in history if one.partition == 0)
            found = await SongEventStore(container).read(read, "0", [("a.avro", "1")], 0, last)
            assert found.positions
            assert [name async for name in container.list_blob_names()] == kept


def command(*arguments: str, api: ApiProcess, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        for name, value in api.environment.items():
            patch.setenv(name, value)
        main([*arguments, "--api", api.address])
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def test_the_terminal_shows_the_past_and_refuses_what_is_none(
    api: ApiProcess, history: list[HistoryEvent], capsys: pytest.CaptureFixture[str]
) -> None:
    second = history[len(history) // 2].second
    code, out, _ = command("chart", "top", "7d", "--as-of", as_of(second), api=api, capsys=capsys)
    assert code == 0
    assert f"as of {moment_at(second * 1_000):%Y-%m-%d %H:%M:%S} UTC" in out
    code, out, _ = command("library", USERS[0], "--as-of", as_of(second), api=api, capsys=capsys)
    assert code == 0
    assert USERS[0] in out
    for text, words in (
        ("yesterday", "expected a moment as RFC 3339"),
        (as_of(int(time.time()) + 3_600), "a moment that is over"),
        (as_of(history[0].second - 1), "on, with which the history begins"),
    ):
        for arguments in (("chart", "top", "1h"), ("library", USERS[0])):
            code, _, err = command(*arguments, "--as-of", text, api=api, capsys=capsys)
            assert code == 2, err
            assert words in err
    code, _, err = command("chart", "top", "1h", "--watch", "--as-of", as_of(second), api=api, capsys=capsys)
    assert code == 2
    assert "--watch" in err
