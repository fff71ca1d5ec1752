"""localcloud as a process of its own, for tests that speak to it through the SDKs."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

import httpx

from songline.cloud.settings import (
    BLOB_CONNECTION,
    COSMOS_CONNECTION,
    EVENTHUB_CONNECTION,
    KAFKA_BOOTSTRAP,
    SERVICEBUS_CERTIFICATE,
    SERVICEBUS_CONNECTION,
    SERVICEBUS_MANAGEMENT,
    CloudSettings,
)
from songline.processes import emulator_files

DEADLINE = 30.0
CONFIG_OPTIONS: Mapping[str, Literal["eventhubs", "servicebus"]] = {
    "--config": "eventhubs",
    "--servicebus-config": "servicebus",
}
COSMOS_KEY = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="

# The storage emulators' published account and key.
BLOB_ACCOUNT = "devstoreaccount1"
BLOB_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def blob_connection_string(port: int) -> str:
    return (
        f"DefaultEndpointsProtocol=http;AccountName={BLOB_ACCOUNT};AccountKey={BLOB_KEY};"
        f"BlobEndpoint=http://127.0.0.1:{port}/{BLOB_ACCOUNT};"
    )


class LocalCloud:
    """A localcloud on free ports, its data in `data`; the ports stay the same over a restart.

    `arguments` go to `python -m localcloud`, for instance `["--config", "hubs.json"]`. Without a `--config` it has the
    product's hubs, without a `--servicebus-config` its queue.
    """

    def __init__(self, data: Path, arguments: Sequence[str] = ()) -> None:
        self.data = data
        self.arguments = list(arguments)
        for option, service in CONFIG_OPTIONS.items():
            if not any(argument.partition("=")[0] == option for argument in arguments):
                self.arguments += [f"{option}={file}" for file in emulator_files.files(service)]
        self.ports = {"eventhubs": 0, "kafka": 0, "servicebus": 0, "servicebus-admin": 0, "cosmos": 0, "control": 0}
        if "--blobs" in self.arguments:
            self.ports["blob"] = 0
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> Self:
        """Start and wait until every service answers; raises with localcloud's own words when it doesn't."""
        ports = [f"--{name}-port={port}" for name, port in self.ports.items()]
        self.data.mkdir(parents=True, exist_ok=True)
        with (self.data / "localcloud.log").open("a") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "localcloud", "--data", str(self.data), *ports, *self.arguments],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise RuntimeError(f"localcloud did not start:\n{self.log()}")
        self.ports = json.loads(line)["ready"]
        return self

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nobody is told."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that is of no use."""
        self._end(signal.SIGTERM)

    def restart(self) -> Self:
        """Start again on the same data and ports, killed before if it still runs."""
        if self.process is not None:
            self.kill()
        return self.start()

    @contextmanager
    def faults(self, *rules: Mapping[str, object]) -> Iterator[Callable[[], list[int]]]:
        """These faults (docs/localcloud/faults.md) and no others for as long; gives how often each one struck."""
        self.control("PUT", "/faults", list(rules))
        try:
            yield lambda: [rule["fired"] for rule in self.control("GET", "/faults")]
        finally:
            self.control("DELETE", "/faults")

    @contextmanager
    def throttled(self, *databases: str) -> Iterator[None]:
        """Databases whose names match a pattern are held to their throughput for as long."""
        self.control("PUT", "/throttling", list(databases))
        try:
            yield
        finally:
            self.control("DELETE", "/throttling")

    def grow_hub(self, name: str, partitions: int) -> None:
        """Give an event hub more partitions."""
        self.control("PUT", f"/hubs/{name}", {"partitions": partitions})

    def remake_hub(self, name: str) -> None:
        """Delete an event hub with all it holds, and create it anew as it is declared."""
        self.control("DELETE", f"/hubs/{name}")
        self.control("PUT", f"/hubs/{name}", {})

    def control(self, method: str, path: str, body: object = None) -> Any:
        """The answer of the control endpoint; raises with its words when it refuses."""
        url = f"http://127.0.0.1:{self.ports['control']}{path}"
        answer = httpx.request(method, url, json=body, timeout=DEADLINE)
        if not answer.is_success:
            raise ValueError(f"{method} {path}: {answer.text}")
        return answer.json()

    def log(self) -> str:
        return (self.data / "localcloud.log").read_text()

    def _end(self, number: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def eventhub_connection_string(self) -> str:
        return (
            f"Endpoint=sb://127.0.0.1:{self.ports['eventhubs']};SharedAccessKeyName=RootManageSharedAccessKey;"
            "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true"
        )

    @property
    def servicebus_connection_string(self) -> str:
        return (
            f"Endpoint=sb://127.0.0.1:{self.ports['servicebus']};SharedAccessKeyName=RootManageSharedAccessKey;"
            "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true"
        )

    @property
    def servicebus_admin_connection_string(self) -> str:
        """For the administration client, which has to trust `servicebus_certificate`."""
        return (
            f"Endpoint=sb://127.0.0.1:{self.ports['servicebus-admin']};SharedAccessKeyName=RootManageSharedAccessKey;"
            "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true"
        )

    @property
    def servicebus_certificate(self) -> Path:
        return self.data / "servicebus" / "tls" / "certificate.pem"

    @property
    def kafka_bootstrap(self) -> str:
        return f"127.0.0.1:{self.ports['kafka']}"

    @property
    def cosmos_endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports['cosmos']}/"

    @property
    def cosmos_key(self) -> str:
        return COSMOS_KEY

    @property
    def blob_connection_string(self) -> str:
        """Only where `--blobs` is among the arguments."""
        return blob_connection_string(self.ports["blob"])

    @property
    def environment(self) -> Mapping[str, str]:
        """The process environment of a product process that is to use this cloud."""
        blobs = {BLOB_CONNECTION: self.blob_connection_string} if "blob" in self.ports else {}
        return {
            **os.environ,
            **blobs,
            SERVICEBUS_CONNECTION: self.servicebus_connection_string,
            SERVICEBUS_MANAGEMENT: f"127.0.0.1:{self.ports['servicebus-admin']}",
            SERVICEBUS_CERTIFICATE: str(self.servicebus_certificate),
            EVENTHUB_CONNECTION: self.eventhub_connection_string,
            KAFKA_BOOTSTRAP: self.kafka_bootstrap,
            COSMOS_CONNECTION: f"AccountEndpoint={self.cosmos_endpoint};AccountKey={self.cosmos_key}",
        }

    def settings(self) -> CloudSettings:
        return CloudSettings.read(self.environment)


def nobody(data: Path) -> LocalCloud:
    """A localcloud that is not there: all its addresses are the discard port, where nobody listens."""
    cloud = LocalCloud(data)
    cloud.ports = dict.fromkeys(cloud.ports, 9)
    return cloud
