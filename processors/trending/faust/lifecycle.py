"""When a Faust app starts and stops, which partitions it is assigned, and what it does by the clock."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from time import monotonic
from typing import Any

import faust

from songline.processors.runtime.process import run_unless
from songline.processors.trending.faust.batched_app import BatchedApp

REST = 0.5
"""A timer rests at least for this share of the time that its work took, so that folding gets its share."""
GATHER_S = 0.02
"""What is woken waits so long: the records of several partitions come right after each other."""
LOOK_S = 0.1
"""How soon it is seen that the least pause of what is woken has become shorter."""


async def run_until(app: faust.App, stop: asyncio.Event) -> None:
    """Run the app until `stop` is set or it crashes; raises what it crashed with."""
    try:
        if await run_unless(stop, app.start()):
            await run_unless(stop, app.wait_until_stopped())
    finally:
        await app.stop()
    if app.crash_reason is not None:
        raise app.crash_reason


async def committed_offsets(app: BatchedApp, *hubs: str) -> list[dict[int, int | None]]:
    """Of each of these hubs the partitions that this worker holds, each with the offset that the group has committed.
    The group is asked once."""
    committed = await app.consumer.seek_to_committed()
    held = app.consumer.assignment()
    return [{tp.partition: committed.get(tp) for tp in held if tp.topic == hub} for hub in hubs]


def current_recovery(app: BatchedApp) -> Callable[[], bool]:
    """Whether what is recovered by now is still to be held, to be asked later: Faust lets callbacks of a recovery go on
    where partitions are shared out anew meanwhile, and a question to the group may wait for that."""
    recovered: int = app.tables.recovery._generation_id
    return lambda: bool(app.consumer_generation_id == recovered)


def crash_on_error(app: BatchedApp, callback: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """`callback`, whose errors crash the app. Faust drops what a recovery callback raises; a worker without its state
    must not go on."""

    async def call() -> None:
        try:
            await callback()
        except Exception as error:
            await app.crash(error)
            raise

    return call


def on_revoked(app: BatchedApp, callbacks: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Call `callbacks` when partitions are taken away, and before the producer stops."""
    called = list(callbacks)

    async def revoked(*_: Any, **__: Any) -> None:
        for callback in called:
            await callback()

    app.on_partitions_revoked.connect(revoked, weak=False)
    app.on_before_shutdown.connect(revoked, weak=False)


def repeat(
    app: BatchedApp,
    pause_s: float,
    work: Callable[[], Awaitable[None]],
    guard: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]],
    *,
    wake: asyncio.Event | None = None,
    least_s: Callable[[], float] = lambda: 0.0,
) -> None:
    """Have the app call `guard` with `work` every `pause_s` seconds, for as long as it runs.

    `wake` is set when there is work to do before: it is done then, but no sooner than `least_s()` after it was begun
    last.
    """

    async def loop() -> None:
        due_s = rested_s = start_s = monotonic()
        while not app.should_stop:
            if wake is None:
                await app.sleep(max(0.0, due_s - monotonic()))
            else:
                await app.wait(wake.wait(), timeout=max(0.0, due_s - monotonic()))
                # What comes together is done together. Faust's own sleep makes a task or two of each, for nothing here.
                await asyncio.sleep(GATHER_S)
                while (  # noqa: ASYNC110 - the least pause may become shorter meanwhile
                    left_s := max(start_s + least_s(), rested_s) - monotonic()
                ) > 0 and not app.should_stop:
                    await asyncio.sleep(min(left_s, LOOK_S))
                wake.clear()
            start_s = monotonic()
            await guard(work)
            rested_s = monotonic() + (monotonic() - start_s) * REST
            due_s = max(start_s + pause_s, rested_s)

    app.task(loop)
