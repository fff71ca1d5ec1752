"""Microsoft's emulators in containers, by Docker Compose, in place of localcloud.

The services are those of `docker-compose.yml`, on the ports that the environment names. They start empty and keep
nothing: the emulators of Event Hubs and Service Bus lose their state at a restart, so the other services must too.
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
    """The emulators can't run on this machine. The operator mends what the message names, or runs localcloud."""


@contextmanager
def running(environ: Mapping[str, str], echo: Callable[[str], None]) -> Iterator[None]:
    """Run the emulators, healthy, while the context lasts; `echo` shows a line. Raises EmulatorError."""
    docker = _docker(environ)
    echo(f"Starting Microsoft's emulators; to see their output: docker compose --file {COMPOSE_FILE} logs")
    compose = [docker, "compose", "--file", str(COMPOSE_FILE)]
    # The containers of an `up` that was killed go: their state fits no other service's.
    fresh = ["--force-recreate", "--renew-anon-volumes", "--remove-orphans"]
    try:
        begun = _run([*compose, "up", "--detach", "--wait", "--wait-timeout", str(PATIENCE), *fresh], environ)
        if begun != 0:
            _run([*compose, "logs", "--tail", "20"], environ)
            raise EmulatorError(f"docker compose could not start the emulators: its output above says why. {OTHERWISE}")
        yield
    finally:
        _run([*compose, "down", "--volumes", "--remove-orphans"], environ)


def _docker(environ: Mapping[str, str]) -> str:
    """The path of the `docker` command, after a check of what the emulators need. Raises EmulatorError."""
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
    """The first line of the error output of `command` if it fails; empty if it succeeds."""
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)  # noqa: S603 - Docker's
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines()
    return lines[0].strip() if lines else f"nothing, with exit code {done.returncode}"


def _run(command: list[str], environ: Mapping[str, str]) -> int:
    """Run `command` with its output on the terminal, because it may pull images of several gigabytes first."""
    return subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, check=False).returncode  # noqa: S603 - Docker's
