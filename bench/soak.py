"""`make bench ARGS=soak`: half an hour at 5,000 events/s in which hubs keep events for ten minutes: what levels off."""

from msgspec import structs

from bench import system
from bench.measurement import Measurement

ROW = 16
REGION = (
    f"{system.REGION} Hubs that are not compacted keep events for ten minutes, so that they are as large as they will "
    "be before half of the run is over."
)


def measure(quick: bool) -> list[Measurement]:
    load = system.Load(minutes=30, kills=0, retention=10)
    if quick:
        load = system.Load(minutes=0.5, rate=100, kills=0, retention=1)
    return [structs.replace(one, row=ROW) for one in system.rows(load, system.run(load))]
