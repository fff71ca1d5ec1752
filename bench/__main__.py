"""`python -m bench [NAME…]`: speeds, each beside what it is compared with, in one run."""

import platform
from datetime import UTC, datetime
from importlib import import_module

import click

BENCHES = {
    "trending": "the trending worker beside a bare loop and an idiomatic Faust app",
    "kafka_endpoint": "localcloud's Kafka endpoint, each way",
    "eventhubs_amqp": "localcloud's AMQP endpoint beside the SDK on the other end",
    "publisher": "EventPublisher beside the bare SDK",
    "events_api": "the events API and the outbox beside EventPublisher alone",
    "library": "the library worker beside one upsert an event",
    "cosmos": "localcloud's Cosmos DB",
    "servicebus": "localcloud's Service Bus",
}


@click.command(epilog="NAMES: " + "; ".join(f"{name}, {what}" for name, what in BENCHES.items()))
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHES)))
def main(names: tuple[str, ...]) -> None:
    """Run the benchmarks of these NAMES, or all of them. Leave the machine alone meanwhile."""
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.machine()}, Python {platform.python_version()}")
    for name in names or BENCHES:
        print(f"\n== {name}: {BENCHES[name]}", flush=True)
        import_module(f"bench.{name}").main()


if __name__ == "__main__":
    main()
