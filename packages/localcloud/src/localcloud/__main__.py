"""The command `localcloud`: Azure on one machine, in one process, durable in one folder."""

import asyncio
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from localcloud import azurite_install
from localcloud.account_keys import DEV_KEYS, AccountKeys, AccountKeysError, make_keys, read_keys
from localcloud.account_keys import FILE as KEYS
from localcloud.allocator import bound_heap, collect_seldom
from localcloud.amqp.config import AZURE_SILENCE_S
from localcloud.azurite_install import AzuriteError, AzuriteMissingError
from localcloud.blob_service import BlobAccount, BlobService
from localcloud.capture.archive_blobs import ArchiveBlobs
from localcloud.capture.declaration import MAX_INTERVAL_S
from localcloud.config import ConfigError, read_hub_rules, read_hubs, with_capture_interval
from localcloud.database_seal import DamagedDatabaseError
from localcloud.eventgrid.access import TopicAccess
from localcloud.eventgrid.delivery import SCHEDULE_S
from localcloud.eventgrid.schedule_option import RetrySchedule
from localcloud.eventgrid.server import EventGridServer
from localcloud.identity.config import IdentityConfig, read_identity
from localcloud.identity.errors import IdentityStateError
from localcloud.identity.routes import identity_routes
from localcloud.identity.server import IdentityServer
from localcloud.identity.signing_keys import PUBLIC as JWKS_FILE
from localcloud.log.errors import LogError
from localcloud.log.store import SEGMENT_BYTES
from localcloud.namespace import HOST, CloudNamespace, NamespaceSettings
from localcloud.namespace_routes import namespace_routes
from localcloud.namespaces import NamespaceRegistry
from localcloud.private_folder import OWNER_ONLY, ForeignFileError, keep_private
from localcloud.servicebus.config import read_namespace
from localcloud.tls import authority
from localcloud.tls.authority import FOLDER as TLS
from localcloud.tls.authority import AuthorityError

READY = "endpoints.json"
OURS = ("hubs", "servicebus", "cosmos", "blobs", "eventgrid", "identity", TLS, KEYS, READY)
"""What localcloud makes in its data folder. `namespaces` is not among it: it is removed at every start."""

AZURE_UNITS = 4

logger = logging.getLogger("localcloud")


@click.group(
    invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}
)
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
@click.option("--blobs", is_flag=True, help="Serve Blob Storage too, by Azurite: see install-blobs.")
@click.option("--blob-port", default=10000, help="Blob Storage.")
@click.option("--eventgrid", is_flag=True, help="Serve a topic of Event Grid too.")
@click.option("--eventgrid-port", default=5304, help="The topic.")
@click.option(
    "--eventgrid-schedule",
    type=RetrySchedule(),
    show_default="Azure's",
    help="Seconds between attempts at a webhook, with commas between.",
)
@click.option("--control-port", default=5300, help="Health at /health, faults at /faults, hubs at /hubs.")
@click.option(
    "--identity-config",
    "identity_configs",
    type=click.Path(path_type=Path),
    multiple=True,
    show_default="no clients",
    help="Clients and users of the OpenID Connect issuer; a later file is laid over an earlier one.",
)
@click.option("--identity-port", default=5302, help="The issuer.")
@click.option("--only", type=click.Choice(["identity"]), show_default="all", help="Serve the issuer alone.")
@click.option(
    "--own-keys/--dev-keys",
    default=None,
    show_default=f"own where DATA/{KEYS} is there, else the emulators'",
    help=f"Keys of its own, made on the first start in DATA/{KEYS}; or those that Microsoft publishes.",
)
@click.option(
    "--cosmos-key",
    envvar="LOCALCLOUD_COSMOS_KEY",
    show_envvar=True,
    show_default="one of these",
    help="Cosmos DB account key, base64. Other users of this machine can read it here, and not in the variable.",
)
@click.option(
    "--tls",
    is_flag=True,
    help=f"Serve AMQP, Kafka, Cosmos DB, Blob Storage and Event Grid over TLS, by DATA/{TLS}/authority.pem.",
)
@click.option(
    "--like-azure",
    is_flag=True,
    help=f"As on Azure: --tls, --no-local-auth, --throttle, {AZURE_UNITS} --throughput-units, quotas of Standard.",
)
@click.option(
    "--throughput-units",
    type=click.IntRange(1, 40),
    show_default="no limit",
    help="Hold Event Hubs to 1 MB or 1,000 events a second for each.",
)
@click.option(
    "--local-auth/--no-local-auth",
    default=None,
    show_default="on, with --like-azure off",
    help="Whether keys open anything, beside tokens of managed identities.",
)
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
@click.option(
    "--capture-interval",
    type=click.IntRange(1, MAX_INTERVAL_S),
    show_default="as declared",
    help="Seconds of a window of Event Hubs Capture, for all hubs that are declared with it.",
)
@click.option("--until-eof", is_flag=True, help="End when standard input does: with the process that holds it open.")
@click.pass_context
def main(
    context: click.Context,
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
    eventgrid: bool,
    eventgrid_port: int,
    eventgrid_schedule: tuple[float, ...] | None,
    control_port: int,
    identity_configs: tuple[Path, ...],
    identity_port: int,
    only: str | None,
    own_keys: bool | None,
    cosmos_key: str | None,
    tls: bool,
    like_azure: bool,
    throughput_units: int | None,
    local_auth: bool | None,
    throttle: bool,
    create_topics: bool,
    segment_bytes: int,
    capture_interval: int | None,
    until_eof: bool,
) -> None:
    """Event Hubs (AMQP and Kafka), Service Bus, Cosmos DB and an issuer of tokens on this machine, on 127.0.0.1.

    When all are served, DATA/endpoints.json tells their ports, and so does one line on standard output.
    """
    if context.invoked_subcommand is not None:
        return
    bound_heap()
    collect_seldom()
    logging.raiseExceptions = False  # a line that finds no room must not make a traceback of its own
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("azure").setLevel(logging.WARNING)  # the SDK has several lines for each request of Capture
    ports = {
        "eventhubs": eventhubs_port,
        "kafka": kafka_port,
        "servicebus": servicebus_port,
        "servicebus-admin": servicebus_admin_port,
        "cosmos": cosmos_port,
        "control": control_port,
        "identity": identity_port,
    }
    if blobs:
        ports["blob"] = blob_port
    if eventgrid:
        ports["eventgrid"] = eventgrid_port
    try:
        os.umask(OWNER_ONLY)
        keep_private(data, OURS)
        keys = _keys(data, own_keys)
        if cosmos_key is not None:
            keys = msgspec.structs.replace(keys, cosmos=cosmos_key)
        (data / READY).unlink(missing_ok=True)
        settings = NamespaceSettings(
            hubs=[with_capture_interval(hub, capture_interval) for hub in read_hubs(configs)],
            hub_rules=read_hub_rules(configs),
            bus=read_namespace(servicebus_configs),
            keys=keys,
            throttle=throttle or like_azure,
            create_topics=create_topics,
            segment_bytes=segment_bytes,
            tls=tls or like_azure,
            throughput_units=throughput_units or (AZURE_UNITS if like_azure else None),
            silence_s=AZURE_SILENCE_S if like_azure else None,
            local_auth=not like_azure if local_auth is None else local_auth,
            standard=like_azure,
        )
        identity = read_identity(identity_configs)
        if only is None:
            asyncio.run(serve(data, settings, identity, ports, until_eof=until_eof, schedule_s=eventgrid_schedule))
        else:
            asyncio.run(serve_issuer(data, identity, identity_port, until_eof=until_eof))
    except (
        AccountKeysError,
        AuthorityError,
        AzuriteError,
        ConfigError,
        DamagedDatabaseError,
        ForeignFileError,
        IdentityStateError,
        LogError,
        OSError,
    ) as error:
        raise SystemExit(f"localcloud: {error}") from None


@main.command("install-blobs")
def install_blobs() -> None:
    """Install Azurite for --blobs, and Node where there is none that is new enough.

    Asks the npm registry, and PyPI for Node.
    """
    try:
        folder = azurite_install.install()
    except (AzuriteError, OSError) as error:
        raise SystemExit(f"localcloud: {error}") from None
    print(f"Azurite {azurite_install.version(folder)} is in {folder}")


async def serve(
    data: Path,
    settings: NamespaceSettings,
    identity: IdentityConfig,
    ports: dict[str, int],
    *,
    until_eof: bool = False,
    schedule_s: tuple[float, ...] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; everything acknowledged is on disk at any moment.

    `ports` has "blob" and "eventgrid" where Blob Storage and Event Grid, whose retries `schedule_s` shortens, are
    wanted too. Raises AuthorityError, AzuriteError, ConfigError, IdentityStateError, LogError, OSError.
    """
    stop = _end(until_eof)
    async with AsyncExitStack() as stack:
        certificate = authority.ensure(data / TLS, datetime.now(UTC))
        blobs = BlobService(
            data / "blobs",
            host=HOST,
            port=ports.get("blob", 0),
            gone=stop.set,
            key=settings.keys.blob,
            certificate=certificate if settings.tls else None,
            jwks=data / "identity" / JWKS_FILE,
        )
        await stack.enter_async_context(blobs)
        issuer = IdentityServer(data / "identity", identity, host=HOST, port=ports["identity"])
        await stack.enter_async_context(issuer)
        registry = await stack.enter_async_context(NamespaceRegistry(data / "namespaces", blobs, issuer, certificate))
        unavailable: dict[str, str] = {}
        account = await _account(blobs, unavailable) if "blob" in ports else None
        namespace = CloudNamespace(
            data,
            settings,
            wanted=ports,
            identity_port=issuer.port,
            certificate=certificate,
            tokens=issuer.entra,
            blobs=account,
            unavailable=unavailable,
            routes=[*namespace_routes(registry, settings), *identity_routes(issuer)],
        )
        await stack.enter_async_context(namespace)
        told = dict(namespace.ports)
        if "eventgrid" in ports:
            letters = None if account is None else await stack.enter_async_context(ArchiveBlobs(account, HOST))
            topic = EventGridServer(
                data / "eventgrid",
                host=HOST,
                port=ports["eventgrid"],
                access=TopicAccess(settings.keys.sas, issuer.entra, local_auth=settings.local_auth),
                certificate=certificate if settings.tls else None,
                blobs=letters,
                schedule_s=schedule_s or SCHEDULE_S,
            )
            told["eventgrid"] = (await stack.enter_async_context(topic)).port
        await _serve_until(stop, data, told)


async def serve_issuer(data: Path, identity: IdentityConfig, port: int, *, until_eof: bool = False) -> None:
    """Serve the issuer alone until SIGINT or SIGTERM. Raises IdentityStateError, OSError."""
    stop = _end(until_eof)
    async with IdentityServer(data / "identity", identity, host=HOST, port=port) as issuer:
        await _serve_until(stop, data, {"identity": issuer.port})


def _end(until_eof: bool) -> asyncio.Event:
    """The event that SIGINT and SIGTERM set, and the end of standard input where it is asked for."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if until_eof:
        _at_end_of_input(lambda: loop.call_soon_threadsafe(stop.set))
    return stop


async def _serve_until(stop: asyncio.Event, data: Path, ports: dict[str, int]) -> None:
    """Tell the ports while all is served, until `stop`."""
    _write_ready(data / READY, ports)
    try:
        # The process that started this one waits for this line.
        print(json.dumps({"ready": ports}), flush=True)
        await stop.wait()
        logger.info("stopping")
    finally:
        (data / READY).unlink(missing_ok=True)


def _keys(data: Path, own: bool | None) -> AccountKeys:
    """Raises AccountKeysError and OSError."""
    if own:
        return make_keys(data)
    return (read_keys(data) if own is None else None) or DEV_KEYS


async def _account(blobs: BlobService, unavailable: dict[str, str]) -> BlobAccount | None:
    """The account of Blob Storage; None where Azurite is not installed: the rest is served all the same."""
    try:
        return await blobs.own_account()
    except AzuriteMissingError as error:
        logger.error("%s", error)
        unavailable["blob"] = str(error)
        return None


def _write_ready(file: Path, ports: dict[str, int]) -> None:
    try:
        file.write_text(json.dumps(ports))
    except OSError as error:
        file.unlink(missing_ok=True)
        logger.error("%s can't be written: %s; standard output tells the ports too", file, error.strerror)


def _at_end_of_input(then: Callable[[], object]) -> None:
    """Call `then`, in a thread, when standard input ends."""

    def read() -> None:
        with suppress(OSError, RuntimeError):  # there is no input, or the loop has ended before
            # Not by sys.stdin: its lock, held by this thread, would stop the interpreter from ending.
            while os.read(0, 65_536):
                pass
            then()

    threading.Thread(target=read, name="end of input", daemon=True).start()


if __name__ == "__main__":
    main()
