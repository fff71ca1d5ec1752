"""Moments of the past for the API: each folded by a process that is bounded in number and time, its answer kept."""

import asyncio
import sys
from pathlib import Path

import msgspec
import pytest

from songline.api.past_folds import AS_OF_S, EACH, LISTENER_KEPT_S, SETTLED_S, PastConfig, PastFolds, past_reader
from songline.cloud.settings import BLOB_CONNECTION
from songline.processors.history.as_of.answers import MomentRefusal, PastCharts, PastLibrary
from songline.projections.past import PastMissingError, PastMomentError, PastUnavailableError, TooManyMomentsError
from songline.schemas.documents import Chart
from songline.schemas.examples import CHART
from songline.schemas.library.fold import fold_actions

NOW_S = 1_795_000_000.0
PAST_S = int(NOW_S) - 3_600

PROGRAM = """
import pathlib, sys, time
asked = sys.stdin.read()
with open({log!r}, "a") as log:
    log.write(asked + "\\n")
{more}
sys.stdout.write(pathlib.Path({answer!r}).read_text())
"""

WAITS = """
last = time.monotonic() + 60
while not pathlib.Path({go!r}).exists():
    if time.monotonic() > last:
        sys.exit("nobody wrote " + {go!r})
    time.sleep(0.01)
"""


class Folding:
    """A PastFolds over a program of this test, which answers what is in a file. `asked` are its questions."""

    def __init__(self, folder: Path, answer: object = None, more: str = "", config: PastConfig | None = None) -> None:
        self.log = folder / "asked"
        self.log.touch()
        (folder / "answer").write_bytes(msgspec.json.encode(answer))
        text = PROGRAM.format(log=str(self.log), answer=str(folder / "answer"), more=more)
        command = (sys.executable, "-S", "-c", text)
        self.now_s = NOW_S
        self.past = PastFolds(command, {}, config or PastConfig(longest_s=30), lambda: self.now_s)

    @property
    def asked(self) -> list[str]:
        return self.log.read_text().splitlines()


async def first_version() -> int:
    """The version of the charts that is live."""
    return 1


CHARTS = PastCharts({"top:1h:global": CHART}, CHART, 7)


async def test_all_charts_of_a_moment_are_folded_once(tmp_path: Path) -> None:
    folding = Folding(tmp_path, CHARTS)
    found = await asyncio.gather(*[folding.past.chart("top:1h:global", PAST_S, None, first_version) for _ in range(5)])
    assert found == [CHART] * 5
    other = await folding.past.chart("trending:5m:region:DE", PAST_S, None, first_version)
    assert (other.kind, other.window, other.scope) == ("trending", "5m", "region:DE")
    assert len(folding.asked) == 1
    await folding.past.chart("top:1h:global", PAST_S - 1, None, first_version)
    assert len(folding.asked) == 2


async def test_an_answer_about_a_second_that_may_still_grow_is_not_kept(tmp_path: Path) -> None:
    folding = Folding(tmp_path, CHARTS)
    for _ in range(2):
        await folding.past.chart("top:1h:global", int(NOW_S) - SETTLED_S + 1, None, first_version)
    assert len(folding.asked) == 2


async def test_an_answer_is_not_kept_for_who_asked_when_its_fold_had_begun_too_early(tmp_path: Path) -> None:
    go = tmp_path / "go"
    folding = Folding(tmp_path, CHARTS, more=WAITS.format(go=str(go)))

    async def ask() -> Chart:
        return await folding.past.chart("top:1h:global", int(NOW_S) - SETTLED_S + 1, None, first_version)

    first = asyncio.create_task(ask())
    await asyncio.sleep(0)
    folding.now_s = NOW_S + SETTLED_S
    later = asyncio.create_task(ask())
    await asyncio.sleep(0)
    go.touch()
    assert list(await asyncio.gather(first, later)) == [CHART] * 2
    assert len(folding.asked) == 1
    # Only now all of that second can have been read.
    for _ in range(2):
        await ask()
        assert len(folding.asked) == 2


async def test_charts_are_folded_anew_by_the_rules_of_another_version_that_is_live(tmp_path: Path) -> None:
    folding, versions = Folding(tmp_path, CHARTS), [1, 2, 1]

    async def live() -> int:
        return versions.pop(0)

    for _ in range(3):
        assert await folding.past.chart("top:1h:global", PAST_S, None, live) == CHART
    asked = [msgspec.json.decode(one) for one in folding.asked]
    assert asked == [{"type": "charts", "second": PAST_S, "version": version} for version in (1, 2)]


async def test_a_library_is_read_as_it_was_folded(tmp_path: Path) -> None:
    library = fold_actions(())
    folding = Folding(tmp_path, PastLibrary(library, {"0": 7, "1": -1}))
    found = await folding.past.library("ana", PAST_S, None)
    assert found.library == library
    assert found.position == {"0": 7, "1": -1}
    assert [msgspec.json.decode(one) for one in folding.asked] == [
        {"type": "library", "second": PAST_S, "user_id": "ana"}
    ]


async def test_a_listener_s_past_is_not_kept_for_long(tmp_path: Path) -> None:
    """Who is forgotten has none any more."""
    folding = Folding(tmp_path, PastLibrary(fold_actions(()), {"0": 7}))
    for later_s, folds in ((0, 1), (LISTENER_KEPT_S - 1, 1), (LISTENER_KEPT_S + 1, 2)):
        folding.now_s = NOW_S + later_s
        await folding.past.library("ana", PAST_S, None)
        assert len(folding.asked) == folds


async def test_a_fold_that_takes_too_long_is_ended_and_said_so(tmp_path: Path) -> None:
    folding = Folding(tmp_path, CHARTS, more="time.sleep(600)", config=PastConfig(longest_s=0.5))
    with pytest.raises(PastUnavailableError, match=f"ended after 0.5 s.*{AS_OF_S}"):
        await folding.past.chart("top:1h:global", PAST_S, None, first_version)


async def test_what_keeps_a_fold_from_an_answer_is_said(tmp_path: Path) -> None:
    folding = Folding(tmp_path, CHARTS, more="sys.exit('no such thing')")
    with pytest.raises(PastUnavailableError, match="code 1: no such thing"):
        await folding.past.chart("top:1h:global", PAST_S, None, first_version)
    refused = Folding(tmp_path, MomentRefusal("the history begins later"))
    with pytest.raises(PastMomentError, match="begins later"):
        await refused.past.library("ana", PAST_S, None)


async def test_more_folds_than_may_wait_are_refused(tmp_path: Path) -> None:
    folding = Folding(tmp_path, CHARTS, more="time.sleep(0.2)")
    found = await asyncio.gather(
        *[folding.past.chart("top:1h:global", PAST_S - number, None, first_version) for number in range(12)],
        return_exceptions=True,
    )
    refused = [one for one in found if isinstance(one, PastUnavailableError)]
    assert len(refused) == 3
    assert "9 moments are being folded" in str(refused[0])
    assert sum(one == CHART for one in found) == 9


async def test_one_caller_leaves_room_for_others(tmp_path: Path) -> None:
    folding = Folding(tmp_path, CHARTS, more="time.sleep(0.2)")

    def ask(second: int, asker: str | None) -> asyncio.Task[Chart]:
        return asyncio.create_task(folding.past.chart("top:1h:global", second, asker, first_version))

    own = [ask(PAST_S - number, "ana") for number in range(EACH + 2)]
    # What is being folded already may be asked for by everybody.
    same = [ask(PAST_S, "ana"), ask(PAST_S, "ben")]
    others = [ask(PAST_S - 100, "ben"), ask(PAST_S - 101, None)]
    # All have begun; that one gives up ends nothing.
    await asyncio.sleep(0)
    own[0].cancel()
    found = await asyncio.gather(*own[1:], *same, *others, return_exceptions=True)
    refused = [one for one in found if isinstance(one, TooManyMomentsError)]
    assert [str(one) for one in refused] == ["ana: saw 3 others being folded, expected 3 at most at a time"] * 2
    assert sum(one == CHART for one in found) == EACH - 1 + 4
    assert await ask(PAST_S - EACH, "ana") == CHART


async def test_an_api_without_blob_storage_says_that_it_has_no_archive() -> None:
    with pytest.raises(PastMissingError, match=BLOB_CONNECTION):
        await past_reader({}).library("ana", PAST_S, None)
