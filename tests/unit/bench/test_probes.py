"""Probes of freshness: what is late when the probing ends is waited for, and counts."""

import asyncio

from bench.freshness_probes import ApiProbes, Prober, Sighting
from bench.recovery import prober_is_fresh


async def test_what_is_late_at_the_end_counts() -> None:
    late, fourth = asyncio.Event(), asyncio.Event()

    async def send(number: int) -> str:
        return str(number)

    async def seen(number: int, known: str) -> bool:
        assert known == str(number)
        if number == 3:
            fourth.set()
        return number == 0 or late.is_set()

    prober = Prober(send, seen, 0.01, 60.0)
    probing = asyncio.create_task(prober.run())
    async with asyncio.timeout(60):
        await fourth.wait()
    prober.end()
    await asyncio.sleep(0.02)
    assert not probing.done()
    late.set()
    await probing
    assert len(prober.sightings) >= 2
    assert max(one.took_s for one in prober.sightings) >= 0.02


async def test_what_is_never_seen_is_given_up_and_counts_as_long_as_it_was_asked_for() -> None:
    async def send(number: int) -> str:
        return ""

    async def seen(number: int, known: str) -> bool:
        raise TimeoutError

    prober = Prober(send, seen, 60.0, 0.05)
    prober.end()
    await prober.run()
    assert prober.sightings == []
    again = Prober(send, seen, 60.0, 0.05)
    probing = asyncio.create_task(again.run())
    await asyncio.sleep(0)
    again.end()
    await probing
    (given_up,) = again.sightings
    assert 60.0 > given_up.took_s > 0.05


def test_a_worker_is_fresh_again_by_what_was_sent_after_its_end() -> None:
    async def never(*_: object) -> str:
        raise AssertionError

    prober = Prober(never, never, 1.0, 1.0)  # type: ignore[arg-type]  # nothing is sent
    is_fresh = prober_is_fresh(prober, 3.0)
    # The hub had the first one before the worker's end at 10 s, and so did the worker.
    prober.sightings.append(Sighting(9.9, 10.1, 10.2))
    assert not is_fresh(10.0)
    prober.sightings.append(Sighting(11.0, 11.1, 14.2))
    assert not is_fresh(10.0)
    prober.sightings.append(Sighting(12.0, 12.1, 14.2))
    assert is_fresh(10.0)


async def test_what_a_prober_sends_no_other_one_has_sent() -> None:
    sent: list[str] = []

    async def publish(name: str, data: object) -> None:
        sent.append(name)

    probes = ApiProbes(None, None, "run")  # type: ignore[arg-type]  # nothing is asked
    probes._publish = publish  # type: ignore[method-assign]
    for make in (probes.catalog, probes.library, probes.catalog, probes.library):
        prober = make(1.0, 1.0)
        await prober._send(0)
        await prober._send(1)
    assert len(set(sent)) == len(sent) == 8
