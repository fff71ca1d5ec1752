"""localcloud as a process of its own, which ends with the one that started it."""

import json
import select
import signal
import subprocess
import sys
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self
from urllib.error import URLError

from localcloud.account_keys import DEV_KEYS, read_keys
from localcloud.testing.cloud import ControlError, LocalCloud
from localcloud.testing.declarations import Declarations
from localcloud.testing.free_ports import free_ports

PROGRAM = (sys.executable, "-m", "localcloud")
START_S = 60.0
START_TRIES = 5
"""How often other ports are chosen, where another process took one of them first."""
STOP_S = 30.0
PORT_TAKEN = ("; choose another with --", "EADDRINUSE")
"""What localcloud says of a port that it can't have, and what Azurite says."""
SERVICES = ("eventhubs", "kafka", "servicebus", "servicebus-admin", "cosmos", "control", "identity")
OPTIONAL = {"blob": "--blobs", "eventgrid": "--eventgrid"}
NOBODY = Declarations()


class StartError(RuntimeError):
    """localcloud did not start; the message has its log."""


class LocalCloudProcess(LocalCloud):
    """A localcloud on free ports, its data in `data`; the ports stay the same over a restart, and go to nobody else as
    long as this object is there.

    `arguments` go to `python -m localcloud`, for instance `["--config", "hubs.json"]`. It is the namespace that these
    declare; `namespace` opens others beside it.
    """

    def __init__(self, data: Path, arguments: Sequence[str] = ()) -> None:
        self.data = data
        self.arguments = list(arguments)
        self.process: subprocess.Popen[bytes] | None = None
        self._held = ExitStack()
        # There is no last stop: each may be followed by a start.
        weakref.finalize(self, self._held.close)
        optional = [name for name, option in OPTIONAL.items() if option in self.arguments]
        ports = dict.fromkeys((*SERVICES, *optional), 0)
        super().__init__(
            ports,
            data / "servicebus" / "tls" / "certificate.pem",
            tls=not {"--tls", "--like-azure"}.isdisjoint(self.arguments),
        )

    def start(self) -> Self:
        """Start, and wait until every service answers. Raises StartError with localcloud's own words."""
        missing = [name for name, port in self.ports.items() if not port]
        tries = 0
        while True:
            tries += 1
            chosen = self._held.enter_context(free_ports(len(missing))) if missing else []
            try:
                return self._start({**self.ports, **dict(zip(missing, chosen, strict=True))})
            except StartError as error:
                if not missing or tries == START_TRIES or not any(said in str(error) for said in PORT_TAKEN):
                    raise

    def _start(self, ports: Mapping[str, int]) -> Self:
        options = [f"--{name}-port={port}" for name, port in ports.items()]
        self.data.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("a") as errors:
            self.process = subprocess.Popen(  # noqa: S603 - the test's own arguments
                [*PROGRAM, "--data", str(self.data), "--until-eof", *options, *self.arguments],
                # Its other end closes however this process ends.
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        output = self.process.stdout
        assert output is not None
        line = output.readline() if select.select([output], [], [], START_S)[0] else b""
        if not line:
            self.kill()
            raise StartError(f"localcloud did not get ready, within {START_S:.0f} s at most:\n{self.log()}")
        self.ports = json.loads(line)["ready"]
        self.keys = (None if "--dev-keys" in self.arguments else read_keys(self.data)) or DEV_KEYS
        return self

    @contextmanager
    def namespace(self, declarations: Declarations = NOBODY) -> Iterator[LocalCloud]:
        """A namespace on free ports for as long, with what is declared and nothing else; then it is removed.

        Raises ControlError when a declaration is refused.
        """
        name, opened = self.open(declarations)
        try:
            yield opened
        finally:
            self.close(name)

    def open(self, declarations: Declarations = NOBODY) -> tuple[str, LocalCloud]:
        """Open a namespace, until `close` or the end of the process; its name, and itself. Raises ControlError."""
        answer = self.control("POST", "/namespaces", declarations.request())
        authority = Path(answer["servicebus_certificate"])
        opened = LocalCloud(answer["ports"], authority, answer["blob_account"], self.keys, tls=self.tls)
        try:
            for path, key in (declarations.containers or {}).items():
                opened.create_container(path, key)
        except BaseException:
            with suppress(ControlError, URLError):
                self.close(answer["name"])
            raise
        return answer["name"], opened

    def close(self, name: str) -> None:
        """Cut a namespace's connections and remove what it holds. Raises ControlError when it is not open."""
        self.control("DELETE", f"/namespaces/{name}")

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, no client is told."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that is of no use."""
        self._end(signal.SIGTERM)

    def restart(self) -> Self:
        """Start again on the same data and ports, killed before if it still runs."""
        if self.process is not None:
            self.kill()
        return self.start()

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def sign_in_code(self) -> str:
        """The code that a browser shows to the issuer before its first sign-in; the next one once it is used."""
        return (self.data / "identity" / "sign-in-code").read_text("utf-8").strip()

    @property
    def log_file(self) -> Path:
        return self.data / "localcloud.log"

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def _end(self, number: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()
