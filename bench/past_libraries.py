"""A listener's library as of a moment, over the API and by the command, and what starting their processes takes."""

import asyncio
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import quantiles

import httpx

from bench.measurement import Measurement
from bench.plays import LISTENERS
from songline.cloud import cosmos
from songline.cloud.settings import read_cosmos
from songline.identity.scopes import Scope
from songline.identity.token_auth import TokenAuth
from songline.identity.token_source import token_source
from songline.processes.entities import CONTAINERS
from songline.schemas.channels import DATABASE
from songline.schemas.moments import moment_at
from tests.support.api import ApiProcess
from tests.support.localcloud import LocalCloud

LOOKUPS = 20
COMMANDS = 8
"""Commands that are timed: each takes a second, most of which is its start."""
LIMIT_S = 300
FOLD = ("-m", "songline.processors.history.as_of")
NO_QUESTION = b"{}"


def past_libraries(cloud: LocalCloud, folder: Path, events: int, second: int) -> list[Measurement]:
    """Seconds of a library as of a Unix second, each of a listener whom nobody asked for before: of the API's answers
    p50 and p99, of commands the median. `events` are in the archive, whose index is made."""
    asyncio.run(_make_containers(cloud))
    moment = moment_at(second * 1_000).isoformat().replace("+00:00", "Z")
    environ = {**cloud.environment, "NO_PROXY": "*"}
    api = ApiProcess(environ, folder / "api.log").start()
    try:
        over_api = _over_api(api, cloud, moment)
        command = _median(COMMANDS, lambda at: _run(environ, _asked(api, _listener(2 * at + 1), moment)))
    finally:
        api.kill()
    start = _median(COMMANDS, lambda _: _run(environ, ["-m", "songline", "library", "--help"]))
    fold = _median(COMMANDS, lambda _: _run({}, FOLD, expected=1))
    what = f"a library as of a moment of {events:,} events"
    answers = f"over the API, {len(over_api)} listeners"
    return [
        Measurement(row=14, what=f"{what}, by the command", figure=command[0], unit="s", wanted="<= 3"),
        *(
            Measurement(
                row=14,
                what=f"the same {answers}: p{percent}",
                figure=quantiles(over_api, n=100, method="inclusive")[percent - 1],
                unit="s",
                wanted="<= 3",
            )
            for percent in (50, 99)
        ),
        Measurement(row=0, what="of that, starting the command", figure=start[0], unit="s"),
        Measurement(row=0, what="of that, starting the process that folds", figure=fold[0], unit="s"),
        Measurement(row=0, what="CPU of starting the command", figure=start[1], unit="s"),
        Measurement(row=0, what="CPU of starting the process that folds", figure=fold[1], unit="s"),
    ]


async def _make_containers(cloud: LocalCloud) -> None:
    async with cosmos.client(read_cosmos(cloud.environment)) as account:
        await cosmos.ensure(account, DATABASE, CONTAINERS)


def _listener(number: int) -> str:
    return f"user-{number * (LISTENERS // (2 * LOOKUPS + 1))}"


def _asked(api: ApiProcess, user_id: str, moment: str) -> list[str]:
    return ["-m", "songline", "library", user_id, "--as-of", moment, "--api", api.address]


def _over_api(api: ApiProcess, cloud: LocalCloud, moment: str) -> list[float]:
    """Seconds of each answer, as a client waits for it."""
    auth = TokenAuth(token_source(cloud.environment, scopes=[Scope.LIBRARY_READ_ANY]))
    taken = []
    with httpx.Client(base_url=api.address, timeout=LIMIT_S, trust_env=False, auth=auth) as client:
        for number in range(LOOKUPS):
            start_s = time.perf_counter()
            answer = client.get(f"/v1/users/{_listener(2 * number)}/library", params={"asOf": moment})
            taken.append(time.perf_counter() - start_s)
            assert answer.status_code == httpx.codes.OK, answer.text
            assert answer.json()["entries"], answer.text
    return taken


def _median(times: int, run: Callable[[int], tuple[float, float]]) -> tuple[float, float]:
    seconds, cpu_s = zip(*(run(number) for number in range(times)), strict=True)
    return statistics.median(seconds), statistics.median(cpu_s)


def _run(environ: Mapping[str, str], arguments: Sequence[str], expected: int = 0) -> tuple[float, float]:
    """Seconds by the clock, and CPU seconds, of a Python process."""
    before, start_s = _children_s(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], env=environ, input=NO_QUESTION, capture_output=True, timeout=LIMIT_S
    )
    taken = time.perf_counter() - start_s
    assert done.returncode == expected, (arguments, done.stdout, done.stderr)
    return taken, _children_s() - before


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
