"""The benchmarks by name, and the rows of `docs/performance.md` that each measures."""

from msgspec import Struct


class Bench(Struct, frozen=True):
    """A benchmark: the module `bench.<name>` has `measure(quick) -> list[Measurement]` and `REGION`."""

    what: str
    rows: tuple[int, ...] = ()


BENCHES = {
    "system": Bench("the whole system for half an hour: freshness, CPU, what levels off, recovery", (1, 8, 13, 16)),
    "many_listeners": Bench("the whole system with 900,000 listeners for ten minutes", (1, 8, 16)),
    "library": Bench("the library worker beside 64129bc", (2, 3)),
    "library_reads": Bench("what a read of a library costs, by its size"),
    "trending": Bench("the trending worker beside bare loops and an idiomatic Faust app", (4,)),
    "trending_growth": Bench("CPU an event of the trending worker by events, songs and partitions", (11,)),
    "trending_memory": Bench("the trending worker's memory and recovery within an hour", (5,)),
    "hour_loading": Bench("what a starting trending worker takes to load the open hour"),
    "shard_loading": Bench("what a starting trending worker takes to restore a shard, with its image and without"),
    "late_events": Bench("late events of hours that are over, by the hours' indexes and without them"),
    "publisher": Bench("EventPublisher beside the bare SDK", (6,)),
    "events_api": Bench("`POST /v1/events`, one event a request", (7,)),
    "idle": Bench("CPU of the whole system at 50 events/s", (9,)),
    "uploads": Bench("100 uploads beside the SDK's bare upload", (10,)),
    "growth": Bench("the library worker by events, songs and partitions; start-up after a crash", (11,)),
    "two_workers": Bench("two library workers on two halves of the partitions", (12,)),
    "archive": Bench("reading an archive beside bare fastavro, and a listener's events over its index", (14,)),
    "rebuild": Bench("a whole rebuild of the charts beside the live worker", (15,)),
    "kafka_endpoint": Bench("localcloud's Kafka endpoint, each way"),
    "eventhubs_amqp": Bench("localcloud's AMQP endpoint beside the SDK on the other end"),
    "cosmos": Bench("localcloud's Cosmos DB"),
    "servicebus": Bench("localcloud's Service Bus"),
}

ROWS = {
    1: "the whole system, 20,000 listeners (and 900,000), 5,000 events/s",
    2: "library worker alone, its log full",
    3: "request units of an act, merging and deletes included",
    4: "trending worker beside bare loops",
    5: "trending's memory within an hour",
    6: "EventPublisher by CPU",
    7: "`POST /v1/events`, one event a request",
    8: "charts, and every process's memory",
    9: "CPU of the whole system at 50 events/s",
    10: "100 uploads of 8 MB",
    11: "growth",
    12: "two library workers on two halves",
    13: "restore, from SIGKILL to fresh",
    14: "reading 2,000,000 archived events",
    15: "a whole rebuild of the charts",
    16: "the soak: open files and disk level off",
}


def names_of(chosen: tuple[str, ...]) -> list[str]:
    """The benchmarks to run for names and numbers of rows, in the order of BENCHES; all of them for none."""
    numbers = {int(each) for each in chosen if each.isdecimal()}
    return [
        name for name, bench in BENCHES.items() if not chosen or name in chosen or not numbers.isdisjoint(bench.rows)
    ]
