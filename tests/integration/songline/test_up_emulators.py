"""`songline up --emulators`, with a `docker` of the test's own: a script that writes down what it is told to do.

Where the containers would be, it starts localcloud on the same ports, so that the product has something to run on.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from songline.processes import emulator_files
from songline.processes.emulators import COMPOSE_FILE
from tests.support.waiting import wait_for

DEADLINE = 90.0
SERVICES = ("eventhubs", "kafka", "cosmos", "servicebus", "servicebus-admin", "blob", "control")
PORTS = ("", *(f"{name}-" for name in (*SERVICES, "identity", "trending", "catalog", "ingestion")))

CONFIGS = [
    *(f"--config={file}" for file in emulator_files.files("eventhubs")),
    *(f"--servicebus-config={file}" for file in emulator_files.files("servicebus")),
]

DOCKER = """#!{python}
import json, os, signal, subprocess, sys, time
from pathlib import Path

told = sys.argv[1:]
here = Path(__file__).parent
with (here / "told").open("a") as file:
    print(json.dumps(told), file=file)
words = [word for word in told if word in ("compose", "version", "up", "down")]
fails = here / "-".join(["fails", *words])
if fails.exists():
    sys.exit(fails.read_text())
if "up" in told and (here / "pulls").exists():
    time.sleep(600)
names = {services}
if "up" in told:
    variables = {{name: f"SONGLINE_{{name.upper().replace('-', '_')}}_PORT" for name in names}}
    ports = [f"--{{name}}-port={{os.environ[variable]}}" for name, variable in variables.items()]
    ports.append("--identity-port=0")
    command = [sys.executable, "-m", "localcloud", "--data", str(here / "cloud"), "--blobs", *ports, *{configs}]
    with (here / "cloud.log").open("w") as log:
        cloud = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
    assert "ready" in cloud.stdout.readline()
    (here / "pid").write_text(str(cloud.pid))
if "down" in told and (here / "pid").exists():
    os.kill(int((here / "pid").read_text()), signal.SIGTERM)
    (here / "pid").unlink()
"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder with a `docker`, for the front of the PATH."""
    docker = tmp_path / "docker"
    docker.write_text(DOCKER.format(python=sys.executable, services=SERVICES, configs=CONFIGS))
    docker.chmod(0o755)
    return tmp_path


def up(folder: Path, path: str) -> "subprocess.Popen[str]":
    options = [f"--{name}port=0" for name in PORTS]
    command = [sys.executable, "-m", "songline", "up", "--emulators", "--no-simulator", *options]
    return subprocess.Popen(
        [*command, "--data", str(folder / "data")],
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def refused(folder: Path, path: str) -> str:
    """What `up` says that can't start."""
    process = up(folder, path)
    said, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1, said
    assert "Or leave --emulators out" in said
    return said


def before(folder: Path) -> str:
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def told(folder: Path) -> list[list[str]]:
    return [json.loads(line) for line in (folder / "told").read_text().splitlines()]


def test_without_docker_it_says_so(tmp_path: Path) -> None:
    assert "there is no `docker` on the PATH: install it" in refused(tmp_path, str(tmp_path))


@pytest.mark.parametrize(
    ("fails", "complaint", "says"),
    [
        ("fails-compose-version", "docker: unknown command: docker compose", "Install the Compose plugin"),
        ("fails-version", "Cannot connect to the Docker daemon at unix:///x.", "Start it"),
    ],
)
def test_what_docker_lacks_is_named_before_anything_starts(
    machine: Path, fails: str, complaint: str, says: str
) -> None:
    (machine / fails).write_text(complaint)
    said = refused(machine, before(machine))
    assert f"({complaint})" in said
    assert says in said
    assert not [command for command in told(machine) if "up" in command]


def test_emulators_that_do_not_start_are_taken_down_again(machine: Path) -> None:
    (machine / "fails-compose-up").write_text("required variable ACCEPT_EULA is missing a value")
    said = refused(machine, before(machine))
    assert "required variable ACCEPT_EULA" in said
    assert "could not start the emulators" in said
    assert told(machine)[-1][-3:] == ["down", "--volumes", "--remove-orphans"]


def test_an_end_is_heard_while_images_are_fetched(machine: Path) -> None:
    (machine / "pulls").touch()
    process = up(machine, before(machine))
    (machine / "told").touch()
    wait_for(lambda: any("up" in command for command in told(machine)), "`docker compose up`", DEADLINE)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert "Interrupted." in said
    assert told(machine)[-1][-3:] == ["down", "--volumes", "--remove-orphans"]


def test_the_product_runs_on_them_and_they_end_with_it(machine: Path) -> None:
    process = up(machine, before(machine))
    lines: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=lines.extend, args=(process.stdout,))
    reader.start()
    try:
        wait_for(lambda: process.poll() is not None or [li for li in lines if "the API" in li], "`up`", DEADLINE)
        [api] = [line.split()[-1].removesuffix("/docs") for line in lines if "the API" in line] or ["".join(lines)]
        assert httpx.get(f"{api}/health/ready", timeout=60).status_code == 200
        assert not [line for line in lines if line.startswith("localcloud")]
        assert not (machine / "data" / "logs" / "localcloud.log").exists()
        # The issuer is localcloud's all the same.
        assert httpx.get(f"{api}/v1/users/user-7/library", timeout=60).status_code == 401
        token = [sys.executable, "-m", "songline", "token", "--user", "user-7", "--header"]
        environ = {**os.environ, "SONGLINE_DATA": str(machine / "data")}
        printed = subprocess.run(token, env=environ, capture_output=True, text=True, timeout=DEADLINE, check=True)
        name, _, value = printed.stdout.strip().partition(": ")
        found = httpx.get(f"{api}/v1/users/user-7/library", headers={name: value}, timeout=60)
        assert found.status_code != 401
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(DEADLINE)
        reader.join()
        process.stdout.close()
    assert code == 0, "".join(lines)
    begun, ended = [command for command in told(machine) if "up" in command or "down" in command]
    assert begun[:5] == ["compose", "--file", str(COMPOSE_FILE), "up", "--detach"]
    assert {"--wait", "--force-recreate", "--renew-anon-volumes"} <= set(begun)
    assert ended == ["compose", "--file", str(COMPOSE_FILE), "down", "--volumes", "--remove-orphans"]
    assert not (machine / "pid").exists()
