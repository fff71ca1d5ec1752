"""`songline up`: runs the whole system on this machine."""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path

import click
import httpx
from azure.core.exceptions import AzureError
from honcho.environ import parse_procfile
from honcho.printer import Printer
from msgspec import Struct

from songline.api.guard_settings import AUTH
from songline.cloud.settings import (
    BLOB_CONNECTION,
    COSMOS_CONNECTION,
    EVENTHUB_CONNECTION,
    KAFKA_BOOTSTRAP,
    SERVICEBUS_CERTIFICATE,
    SERVICEBUS_CONNECTION,
    SERVICEBUS_MANAGEMENT,
    SettingError,
)
from songline.deployment.prepare import ensure_containers
from songline.identity.discovery import discovery_address
from songline.identity.settings import AUDIENCE, CLIENT_ID, CLIENT_SECRET_FILE, ISSUER
from songline.identity.token_client import IssuerUnreachableError
from songline.options import DataFolder, FiniteRange
from songline.players.tokens.token_key import KEY_FILE, TOKEN_KEY_FILE, make_key_file
from songline.processes import emulator_files, emulators
from songline.processes.azure_like import TOLD, azure_environment, declare_containers
from songline.processes.cloud_keys import PUBLISHED, CloudKeys, CloudKeysError, kept_keys
from songline.processes.cloud_probes import complete, ensured
from songline.processes.data_folder_lock import DataFolderLockedError, holding
from songline.processes.environment import API, DATA, DEFAULT_DATA, OUTBOX, WORKERS, save
from songline.processes.health_news import left
from songline.processes.local_eventgrid import EVENTGRID_PORT, TOPIC_SETTINGS, topic_settings
from songline.processes.local_identity import identity_settings, own_auth, sign_in_link, without_client
from songline.processes.managed_identity import CLIENT, act_as_declared, client_ids, write_identities
from songline.processes.page_client import page_settings, write_page_client
from songline.processes.ports import HOST, PortTakenError, reserved
from songline.processes.private_data import OWNER_ONLY, ForeignDataError, keep_private
from songline.processes.supervise import Probe, Service, ServiceDiedError, StopError, Supervisor
from songline.processes.vitals import http_checkup, http_client
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError

PATIENCE = 150.0

CAPTURE_INTERVAL = "SONGLINE_CAPTURE_INTERVAL"
"""Seconds of a window of Event Hubs Capture, for localcloud."""

KEYS_OPTION = "SONGLINE_LOCALCLOUD_KEYS"
"""The option by which localcloud takes its own keys or the published ones, for the Procfile."""

DECLARED = "SONGLINE_EMULATOR_CONFIG"
"""The folder that declares hubs and queues; by default that of the project."""
MODE = "SONGLINE_LOCALCLOUD_MODE"
"""`--like-azure` for localcloud, or nothing, likewise."""

PORTS = {
    "--port": "SONGLINE_PORT",
    "--eventhubs-port": "SONGLINE_EVENTHUBS_PORT",
    "--kafka-port": "SONGLINE_KAFKA_PORT",
    "--cosmos-port": "SONGLINE_COSMOS_PORT",
    "--servicebus-port": "SONGLINE_SERVICEBUS_PORT",
    "--servicebus-admin-port": "SONGLINE_SERVICEBUS_ADMIN_PORT",
    "--control-port": "SONGLINE_CONTROL_PORT",
    "--identity-port": "SONGLINE_IDENTITY_PORT",
    "--blob-port": "SONGLINE_BLOB_PORT",
    "--trending-port": "SONGLINE_TRENDING_PORT",
    "--catalog-port": "SONGLINE_CATALOG_PORT",
    "--ingestion-port": "SONGLINE_INGESTION_PORT",
    "--library-port": "SONGLINE_LIBRARY_PORT",
}
"""The variable from which the Procfile reads a port, by option."""

SHARED = (
    EVENTHUB_CONNECTION,
    KAFKA_BOOTSTRAP,
    SERVICEBUS_CONNECTION,
    SERVICEBUS_MANAGEMENT,
    SERVICEBUS_CERTIFICATE,
    COSMOS_CONNECTION,
    BLOB_CONNECTION,
    API,
    ISSUER,
    AUDIENCE,
    CLIENT_ID,
    CLIENT_SECRET_FILE,
    TOKEN_KEY_FILE,
    *WORKERS.values(),
)
"""The settings that other terminals need to reach the running system."""


@click.command(context_settings={"show_default": True})
@click.option(
    "--data",
    type=DataFolder(),
    envvar=DATA,
    show_envvar=True,
    default=DEFAULT_DATA,
    help="The folder that holds all data.",
)
@click.option("--simulator/--no-simulator", default=True, help="Whether to run simulated listeners.")
@click.option("--rate", type=FiniteRange(min=1, max=1_000_000), default=50.0, help="Simulated events a second.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, help="The API; 0 takes a free port, here and below."
)
@click.option("--eventhubs-port", type=click.IntRange(0, 65535), default=5672, help="Event Hubs over AMQP.")
@click.option("--kafka-port", type=click.IntRange(0, 65535), default=9092, help="Event Hubs over Kafka.")
@click.option("--cosmos-port", type=click.IntRange(0, 65535), default=8081, help="Cosmos DB.")
@click.option("--servicebus-port", type=click.IntRange(0, 65535), default=5673, help="Service Bus over AMQP.")
@click.option("--servicebus-admin-port", type=click.IntRange(0, 65535), default=5443, help="Service Bus's management.")
@click.option("--blob-port", type=click.IntRange(0, 65535), default=10000, help="Blob Storage.")
@click.option("--control-port", type=click.IntRange(0, 65535), default=5300, help="localcloud's health.")
@click.option("--identity-port", type=click.IntRange(0, 65535), default=5302, help="The issuer of access tokens.")
@click.option("--trending-port", type=click.IntRange(0, 65535), default=8001, help="The trending worker's health.")
@click.option("--catalog-port", type=click.IntRange(0, 65535), default=8002, help="The catalog worker's health.")
@click.option("--ingestion-port", type=click.IntRange(0, 65535), default=8003, help="The ingestion worker's health.")
@click.option("--library-port", type=click.IntRange(0, 65535), default=8004, help="The library worker's health.")
@click.option("--logs", is_flag=True, help="Show the output of every process, too.")
@click.option(
    "--dev-keys",
    is_flag=True,
    help="Take the keys that Microsoft publishes with its emulators, for other tools that know no others.",
)
@click.option(
    "--like-azure",
    is_flag=True,
    help="Run localcloud as Azure is: TLS, managed identities in place of keys, and the services' limits.",
)
@click.option(
    "--emulators", "contained", is_flag=True, help="Run Microsoft's emulators, by Docker, instead of localcloud."
)
def command(
    data: Path,
    simulator: bool,
    rate: float,
    logs: bool,
    dev_keys: bool,
    like_azure: bool,
    contained: bool,
    **ports: int,
) -> None:
    """Run the whole system on this machine, until Ctrl-C.

    Starts localcloud, the workers, the API and simulated listeners, waits until each is healthy, and prints the
    addresses. All data stays in the data folder, and the next `up` continues with it.
    """
    if like_azure and (dev_keys or contained):
        other = "--dev-keys" if dev_keys else "--emulators"
        raise click.UsageError(f"saw --like-azure and {other}, expected one of them: there are no keys like on Azure")
    try:
        os.umask(OWNER_ONLY)  # of all processes, too
        keep_private(data)
        with holding(data):
            keys = PUBLISHED if dev_keys or contained else kept_keys(data, _say)
            wanted = {f"--{name.replace('_', '-')}": port for name, port in ports.items()}
            # Docker binds the ports of the emulators, so they must be free.
            with reserved(wanted, are_kept=not contained) as settled:
                environ = environment(os.environ, data, settled, rate, keys)
                if like_azure:
                    environ = azure_environment(environ, data, environ[ISSUER]) | {MODE: "--like-azure"}
                _run(data, environ, keys, simulator=simulator, logs=logs, contained=contained)
    except (
        CloudKeysError,
        DataFolderLockedError,
        ForeignDataError,
        PortTakenError,
        ServiceDiedError,
        SettingError,
        AzureError,
        OSError,
        emulators.EmulatorError,
    ) as error:
        raise click.ClickException(str(error)) from None


def environment(
    environ: Mapping[str, str], data: Path, ports: Mapping[str, int], rate: float, keys: CloudKeys
) -> dict[str, str]:
    """The environment of every process: `environ`, with the settings of all services on this machine."""
    here = {PORTS[option]: str(port) for option, port in ports.items()}
    # `python` in the Procfile is the one that runs this.
    path = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", os.defpath)])
    return {
        **environ,
        **here,
        DATA: str(data),
        DECLARED: environ.get(DECLARED) or str(emulator_files.FOLDER),
        MODE: "",
        KEYS_OPTION: "--dev-keys" if keys == PUBLISHED else "--own-keys",
        API: f"http://{HOST}:{here['SONGLINE_PORT']}",
        **{variable: f"http://{HOST}:{here[f'{variable}_PORT']}" for variable in WORKERS.values()},
        EVENTHUB_CONNECTION: keys.namespace(f"{HOST}:{here['SONGLINE_EVENTHUBS_PORT']}"),
        SERVICEBUS_CONNECTION: keys.namespace(f"{HOST}:{here['SONGLINE_SERVICEBUS_PORT']}"),
        SERVICEBUS_MANAGEMENT: f"{HOST}:{here['SONGLINE_SERVICEBUS_ADMIN_PORT']}",
        # localcloud creates the certificate.
        SERVICEBUS_CERTIFICATE: str(data.resolve() / "servicebus" / "tls" / "certificate.pem"),
        KAFKA_BOOTSTRAP: f"{HOST}:{here['SONGLINE_KAFKA_PORT']}",
        COSMOS_CONNECTION: keys.cosmos_account(f"{HOST}:{here['SONGLINE_COSMOS_PORT']}"),
        BLOB_CONNECTION: keys.blob_account(f"{HOST}:{here['SONGLINE_BLOB_PORT']}"),
        **identity_settings(environ, data, f"http://{HOST}:{here['SONGLINE_IDENTITY_PORT']}"),
        **page_settings(data, f"http://{HOST}:{here['SONGLINE_PORT']}"),
        CAPTURE_INTERVAL: environ.get(CAPTURE_INTERVAL) or "60",
        **topic_settings(environ, HOST, keys),
        OUTBOX: str(data / "outbox.db"),
        TOKEN_KEY_FILE: str(data.resolve() / KEY_FILE),
        "SONGLINE_RATE": f"{rate:g}",
        "PATH": path,
        "PYTHONUNBUFFERED": "1",
    }


def services(environ: Mapping[str, str]) -> dict[str, Service]:
    """The processes of the Procfile by name, each with its health check."""
    commands: dict[str, str] = parse_procfile(_procfile().read_text(encoding="utf-8")).processes
    identities = client_ids()
    control = f"http://{HOST}:{environ['SONGLINE_CONTROL_PORT']}/health"
    issuer = discovery_address(environ[ISSUER])
    ready = {
        "localcloud": control,
        "issuer": issuer,
        "api": f"{environ[API]}/health/ready",
        **{name: f"{environ[variable]}/health/ready" for name, variable in WORKERS.items()},
    }
    vital = {
        "localcloud": control,
        "issuer": issuer,
        "api": f"{environ[API]}/health/live",
        **{name: f"{environ[variable]}/health/progress" for name, variable in WORKERS.items()},
    }
    return {
        # Restarts lose nothing: acknowledged data is on disk, and the senders repeat what is not acknowledged.
        name: Service(
            name,
            line,
            _answers(ready[name]) if name in ready else _nothing,
            restarts=True,
            checkup=http_checkup(vital[name]) if name in vital else None,
            environ={CLIENT: identities[name]} if environ[MODE] and name in identities else {},
        )
        for name, line in commands.items()
    }


def _run(
    data: Path, environ: Mapping[str, str], keys: CloudKeys, *, simulator: bool, logs: bool, contained: bool
) -> None:
    if contained:
        # The emulators' management is served over HTTP, and the SDK takes HTTPS only.
        missing = (SERVICEBUS_MANAGEMENT, SERVICEBUS_CERTIFICATE)
        environ = {**environ, **dict.fromkeys(missing, "")}
    broadcasts = bool(environ[EVENTGRID_PORT]) and not contained
    if not broadcasts:
        # Microsoft has no emulator of Event Grid.
        environ = {**environ, **dict.fromkeys((EVENTGRID_PORT, *TOPIC_SETTINGS), "")}
    cloud = emulators.running(environ, click.echo) if contained else nullcontext()
    found = services(environ)
    shared = {name: environ[name] for name in (*SHARED, *TOLD) if name in environ}
    if broadcasts:
        shared |= {name: environ[name] for name in TOPIC_SETTINGS if name in environ}
    began = time.monotonic()
    printer = Printer(sys.stdout) if logs else None
    with cloud, Supervisor(without_client(environ), data / "logs", _say, printer) as supervisor:
        saved: Path | None = None
        try:
            write_page_client(data, environ[API])
            make_key_file(Path(environ[TOKEN_KEY_FILE]))
            if environ[MODE]:
                write_identities(data)
            if contained:
                supervisor.start(found["issuer"])
                _healthy(supervisor, "issuer", "localcloud's, for access tokens")
                asyncio.run(ensure_containers(environ))
            else:
                supervisor.start(found["localcloud"])
                _healthy(supervisor, "localcloud", "Event Hubs, Kafka, Service Bus, Cosmos DB, Blob Storage")
                # It may be killed meanwhile, as later: then it is started again.
                control = f"http://{HOST}:{environ['SONGLINE_CONTROL_PORT']}"
                supervisor.wait("localcloud", PATIENCE, complete(f"{control}/health"))
                if environ[MODE]:
                    act_as_declared(environ)
                    declare_containers(control, keys.control)
                supervisor.wait("localcloud", PATIENCE, ensured(environ))
            saved = save(data, shared)
            for name in (*WORKERS, "api", *["simulator"] * simulator, *["broadcast"] * broadcasts):
                supervisor.start(found[name])
            _healthy(supervisor, "trending", "plays become charts")
            _healthy(supervisor, "catalog", "songs can be found")
            _healthy(supervisor, "library", "listeners have libraries")
            _healthy(supervisor, "ingestion", "uploads become songs")
            _healthy(supervisor, "api", environ[API])
            if environ[AUTH] == "off":
                _say(f"{'':<10} asks for no tokens ({AUTH}=off): everybody on this machine may read and write all")
            if simulator:
                # The simulator is healthy when its events appear in the charts.
                rate = f"{environ['SONGLINE_RATE']} events a second"
                _healthy(supervisor, "simulator", rate, _grows(environ))
            _say(_where(data, environ[API], time.monotonic() - began, sign_in_link(environ, data)))
            supervisor.watch()
        except StopError as reason:
            _say(f"\n{reason}: stopping. All data stays in {data}.")
        finally:
            if saved is not None:
                saved.unlink(missing_ok=True)


def _healthy(supervisor: Supervisor, name: str, what: str, probe: Probe | None = None) -> None:
    took = supervisor.wait(name, PATIENCE, probe)
    report = supervisor.catches_up(name)
    if report is None:
        _say(f"{name:<10} healthy after {took:4.1f} s   {what}")
    else:
        _say(f"{name:<10} catches up          {left(report)}")


def _say(line: str) -> None:
    # The terminal may be gone, or standard output may be a file on a full disk.
    with suppress(OSError):
        click.echo(line)


def _answers(url: str) -> Probe:
    client = http_client(2)

    def probe() -> str:
        try:
            answer = client.get(url)
        except httpx.TransportError as error:
            return f"{url}: {type(error).__name__} {error}"
        return "" if answer.status_code == 200 else f"{url} answered {answer.status_code}: {answer.text[:200]}"

    return probe


def _grows(environ: Mapping[str, str]) -> Probe:
    client, api = http_client(5), environ[API]
    client.auth = own_auth(environ)
    before = _counted(client, api)
    return lambda: "" if _counted(client, api) > before else "nothing that it sent is in the charts yet"


class _Counted(Struct):
    position: dict[str, int]


_charts = Decoder(_Counted, "not-an-answer")


def _counted(client: httpx.Client, api: str) -> int:
    """The events that the charts count, 0 while there is no chart."""
    try:
        answer = client.get(f"{api}/v1/charts/top/1h?limit=1")
    except (httpx.TransportError, IssuerUnreachableError):
        return 0
    try:
        return sum(_charts.decode(answer.content).position.values()) if answer.status_code == 200 else 0
    except PoisonError:
        return 0


def _nothing() -> str:
    return ""


def _procfile() -> Path:
    return Path(__file__).parent.parent / "Procfile"


def _where(data: Path, api: str, took: float, sign_in: str | None) -> str:
    trust = "" if sign_in is None else f"\n  sign in   {sign_in}   (once in each browser)"
    prefix = "" if data == DEFAULT_DATA else f"{DATA}={data} "
    return f"""
Songline is up, after {took:.1f} s.
  look      {api}/{trust}
  a chart   {api}/v1/charts/top/1h
  the API   {api}/docs
  upload    {prefix}songline upload song.mp3
  a token   {prefix}songline token --user NAME
  live      {prefix}songline chart top 1h --watch
  check     {prefix}songline doctor
  logs      {data / "logs"}, a file for each process; --logs shows them here
  stop      Ctrl-C; all data stays in {data}
"""
