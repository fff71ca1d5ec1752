"""Microsoft's emulators in containers, by Docker Compose, where localcloud stands otherwise.

The services are those of `docker-compose.yml`, on the ports that the environment names. They begin empty and end
without a trace: the emulators of Event Hubs and Service Bus keep nothing over a restart, so nothing else may.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 300
COMPOSE_FILE = Path(__file__).parents[2] / "docker-compose.yml"

OTHERWISE = "Or leave --emulators out: localcloud needs none of it."


class EmulatorError(Exception):
    """The emulators can't be run on this machine. The operator mends what the message names, or does without them."""


@contextmanager
def running(environ: Mapping[str, str], tell: Callable[[str], None]) -> Iterator[None]:
    """The emulators, healthy, for as long as the context lasts. Raises EmulatorError, which says what to do."""
    docker = _docker(environ)
    tell(f"Starting Microsoft's emulators; what they write: docker compose --file {COMPOSE_FILE} logs")
    compose = [docker, "compose", "--file", str(COMPOSE_FILE)]
    # Whatever an `up` that was killed has left goes: its containers remember what nobody else does.
    fresh = ["--force-recreate", "--renew-anon-volumes", "--remove-orphans"]
    try:
        begun = _run([*compose, "up", "--detach", "--wait", "--wait-timeout", str(PATIENCE), *fresh], environ)
        if begun != 0:
            _run([*compose, "logs", "--tail", "20"], environ)
            raise EmulatorError(f"docker compose could not start the emulators: it says why above. {OTHERWISE}")
        yield
    finally:
        _run([*compose, "down", "--volumes", "--remove-orphans"], environ)


def _docker(environ: Mapping[str, str]) -> str:
    """The `docker` to use, once all is there that has to be."""
    if not COMPOSE_FILE.exists():
        raise EmulatorError(f"{COMPOSE_FILE} is not there: --emulators works in a checkout of the project. {OTHERWISE}")
    docker = shutil.which("docker", path=environ.get("PATH"))
    if docker is None:
        raise EmulatorError(f"--emulators needs Docker, and there is no `docker` on the PATH: install it. {OTHERWISE}")
    if problem := _complaint([docker, "compose", "version"], environ):
        raise EmulatorError(
            f"--emulators needs Docker Compose, and `docker compose version` failed ({problem}). "
            f"Install the Compose plugin. {OTHERWISE}"
        )
    if problem := _complaint([docker, "version", "--format", "{{.Server.Version}}"], environ):
        raise EmulatorError(
            f"Docker's daemon does not answer ({problem}). "
            f"Start it (Docker Desktop, or `systemctl start docker`), or ask for access to it. {OTHERWISE}"
        )
    return docker


def _complaint(command: list[str], environ: Mapping[str, str]) -> str:
    """What `command` said on its way to a failure, empty when it was well."""
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)  # noqa: S603 - Docker's
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines()
    return lines[0].strip() if lines else f"nothing, with exit code {done.returncode}"


def _run(command: list[str], environ: Mapping[str, str]) -> int:
    """Run `command` before the eyes of the user: images of several gigabytes may have to come first."""
    return subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, check=False).returncode  # noqa: S603 - Docker's
