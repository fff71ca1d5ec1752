"""`python -m localcloud`: Azure on one machine, in one process, durable in one folder."""

import asyncio
import json
import logging
import signal
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from localcloud import control, log
from localcloud.azurite import AzuriteError, AzuriteServer
from localcloud.config import ConfigError, HubConfig, read_hubs
from localcloud.cosmos.server import CosmosServer
from localcloud.eventhubs.server import EventHubsServer
from localcloud.faults import Faults
from localcloud.http import HttpServer
from localcloud.hub_routes import hub_routes
from localcloud.log.store import SEGMENT_BYTES
from localcloud.sas import Keys
from localcloud.servicebus.admin.server import AdministrationServer
from localcloud.servicebus.config import NamespaceConfig, read_namespace
from localcloud.servicebus.server import ServiceBusServer

if TYPE_CHECKING:
    from localcloud.kafka.server import KafkaServer

    Server = (
        AdministrationServer
        | AzuriteServer
        | CosmosServer
        | EventHubsServer
        | HttpServer
        | KafkaServer
        | ServiceBusServer
    )

HOST = "127.0.0.1"
READY = "endpoints.json"
# The official Cosmos DB emulator's published key: public, well known, and no secret.
COSMOS_KEY = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="

logger = logging.getLogger("localcloud")


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), default=".local", help="Where everything is kept."
)
@click.option(
    "--config",
    "configs",
    type=click.Path(path_type=Path),
    multiple=True,
    show_default="no hubs",
    help="Event hubs, as the emulator's Config.json; a later file is laid over an earlier one.",
)
@click.option(
    "--servicebus-config",
    "servicebus_configs",
    type=click.Path(path_type=Path),
    multiple=True,
    show_default="no queues, no topics",
    help="Queues and topics, as the Service Bus emulator's Config.json; likewise.",
)
@click.option("--eventhubs-port", default=5672, help="Event Hubs over AMQP; 0 takes a free port, here and below.")
@click.option("--kafka-port", default=9092, help="Event Hubs over Kafka.")
@click.option("--servicebus-port", default=5673, help="Service Bus over AMQP.")
@click.option("--servicebus-admin-port", default=5443, help="Service Bus administration, over HTTPS.")
@click.option("--cosmos-port", default=8081, help="Cosmos DB.")
@click.option("--blobs", is_flag=True, help="Serve Blob Storage too, by Azurite (see `make azurite`).")
@click.option("--blob-port", default=10000, help="Blob Storage.")
@click.option("--control-port", default=5300, help="Health at /health, faults at /faults, hubs at /hubs.")
@click.option("--cosmos-key", default=COSMOS_KEY, show_default="the emulator's", help="Cosmos DB account key, base64.")
@click.option("--throttle", is_flag=True, help="Hold Cosmos DB containers to their provisioned throughput.")
@click.option(
    "--create-topics",
    is_flag=True,
    help="Let Kafka clients create topics, also by asking for one that is not there, and delete them.",
)
@click.option(
    "--segment-bytes",
    default=SEGMENT_BYTES,
    type=click.IntRange(1),
    help="Size at which a file of a hub's log is full.",
)
def main(
    data: Path,
    configs: tuple[Path, ...],
    servicebus_configs: tuple[Path, ...],
    eventhubs_port: int,
    kafka_port: int,
    servicebus_port: int,
    servicebus_admin_port: int,
    cosmos_port: int,
    blobs: bool,
    blob_port: int,
    control_port: int,
    cosmos_key: str,
    throttle: bool,
    create_topics: bool,
    segment_bytes: int,
) -> None:
    """Event Hubs (AMQP and Kafka), Service Bus and Cosmos DB on this machine, on 127.0.0.1.

    When all are served, DATA/endpoints.json tells their ports, and so does one line on standard output.
    """
    logging.raiseExceptions = False  # a line that finds no room must not make a traceback of its own
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    ports = {
        "eventhubs": eventhubs_port,
        "kafka": kafka_port,
        "servicebus": servicebus_port,
        "servicebus-admin": servicebus_admin_port,
        "cosmos": cosmos_port,
        "control": control_port,
    }
    if blobs:
        ports["blob"] = blob_port
    try:
        data.mkdir(parents=True, exist_ok=True)
        (data / READY).unlink(missing_ok=True)
        hubs = read_hubs(configs)
        namespace = read_namespace(servicebus_configs)
        asyncio.run(
            serve(
                data,
                hubs,
                namespace,
                ports,
                cosmos_key,
                throttle=throttle,
                create_topics=create_topics,
                segment_bytes=segment_bytes,
            )
        )
    except (AzuriteError, ConfigError, log.LogError, OSError) as error:
        raise SystemExit(f"localcloud: {error}") from None


async def serve(
    data: Path,
    hubs: list[HubConfig],
    namespace: NamespaceConfig,
    ports: dict[str, int],
    cosmos_key: str,
    *,
    throttle: bool,
    create_topics: bool,
    segment_bytes: int = SEGMENT_BYTES,
) -> None:
    """Serve until SIGINT or SIGTERM; everything acknowledged is on disk at any moment."""
    # kio gives its types to hypothesis where that is installed: a third of a second of every start on such a machine.
    sys.modules.setdefault("hypothesis", None)  # type: ignore[arg-type] # what the import system takes for "not there"
    from localcloud.kafka.server import KafkaServer

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    ready = data / READY
    keys, faults = Keys(), Faults()
    served: dict[str, int] = {}
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            log.LogStore.open(
                data / "hubs", hubs, now_ms=lambda: time.time_ns() // 1_000_000, segment_bytes=segment_bytes
            )
        )
        bus = ServiceBusServer(data / "servicebus", namespace, keys, host=HOST, port=ports["servicebus"], faults=faults)
        cosmos = CosmosServer(
            data / "cosmos",
            cosmos_key,
            host=HOST,
            port=ports["cosmos"],
            throttled=["*"] if throttle else [],
            faults=faults,
        )
        kafka = KafkaServer(store, keys, host=HOST, port=ports["kafka"], create_topics=create_topics, faults=faults)
        servers: dict[str, Server] = {
            "eventhubs": EventHubsServer(store, keys, host=HOST, port=ports["eventhubs"], faults=faults),
            "kafka": kafka,
            "servicebus": bus,
            "servicebus-admin": AdministrationServer(
                bus, data / "servicebus" / "tls", keys, host=HOST, port=ports["servicebus-admin"]
            ),
            "cosmos": cosmos,
        }
        if "blob" in ports:
            servers["blob"] = AzuriteServer(data / "blobs", host=HOST, port=ports["blob"], gone=stop.set)
        # The last: health means that all are served.
        servers["control"] = HttpServer(
            control.create(served, faults, lambda: cosmos.throughput, hub_routes(store, kafka.forget_hub)),
            host=HOST,
            port=ports["control"],
        )
        for name, server in servers.items():
            try:
                await stack.enter_async_context(server)
            except OSError as error:
                raise OSError(
                    f"port {ports[name]} for {name}: {error.strerror}; choose another with --{name}-port"
                ) from error
            served[name] = server.port
        try:
            ready.write_text(json.dumps(served))
        except OSError as error:
            ready.unlink(missing_ok=True)
            logger.error("%s can't be written: %s; standard output tells the ports too", ready, error.strerror)
        stack.callback(ready.unlink, missing_ok=True)
        # Whoever started this process waits for this line.
        print(json.dumps({"ready": served}), flush=True)
        await stop.wait()
        logger.info("stopping")


if __name__ == "__main__":
    main()
