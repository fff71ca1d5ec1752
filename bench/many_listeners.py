"""`make bench ARGS=many_listeners`: the second world of row 1: 900,000 listeners, an act every three minutes each."""

from bench import system
from bench.measurement import Measurement

REGION = system.REGION


def measure(quick: bool) -> list[Measurement]:
    load = system.Load(minutes=10, listeners=900_000, pacing="real", kills=0)
    if quick:
        load = system.Load(minutes=0.25, listeners=9_000, pacing="real", kills=0)
    return system.rows(load, system.run(load))
