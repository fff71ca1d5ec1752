"""localcloud as a process of its own with the product's entities, for tests that speak to it through the SDKs."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NoReturn, Self

from localcloud.testing import Declarations, LocalCloudProcess
from songline.cloud.settings import (
    AUTHORITIES,
    BLOB_CONNECTION,
    COSMOS_CONNECTION,
    EVENTHUB_CONNECTION,
    KAFKA_BOOTSTRAP,
    SERVICEBUS_CERTIFICATE,
    SERVICEBUS_CONNECTION,
    SERVICEBUS_MANAGEMENT,
    CloudSettings,
)
from songline.identity.settings import AUDIENCE, CLIENT_ID, CLIENT_SECRET_FILE, ISSUER
from songline.processes import emulator_files

CONFIG_OPTIONS: Mapping[str, Literal["eventhubs", "servicebus"]] = {
    "--config": "eventhubs",
    "--servicebus-config": "servicebus",
}


IDENTITY = emulator_files.FOLDER / "identity" / "localcloud.json"
CLIENT = "songline-cli"


class LocalCloud(LocalCloudProcess):
    """A localcloud on free ports, its data in `data`; the ports stay the same over a restart.

    `arguments` go to `python -m localcloud`, for instance `["--config", "hubs.json"]`. Without a `--config` it has the
    product's hubs, without a `--servicebus-config` its queue. Its keys are its own.
    """

    def __init__(self, data: Path, arguments: Sequence[str] = ()) -> None:
        configs = [
            f"{option}={file}"
            for option, service in CONFIG_OPTIONS.items()
            if not any(argument.partition("=")[0] == option for argument in arguments)
            for file in emulator_files.files(service)
        ]
        super().__init__(data, [*arguments, *configs, "--own-keys", f"--identity-config={IDENTITY}"])

    @property
    def environment(self) -> Mapping[str, str]:
        """The process environment of a product process that is to use this cloud."""
        trusted = {AUTHORITIES: str(self.authority)} if self.tls else {}
        blobs = {BLOB_CONNECTION: self.blob_connection_string} if "blob" in self.ports else {}
        return {
            **os.environ,
            **blobs,
            **trusted,
            SERVICEBUS_CONNECTION: self.servicebus_connection_string,
            SERVICEBUS_MANAGEMENT: f"127.0.0.1:{self.ports['servicebus-admin']}",
            SERVICEBUS_CERTIFICATE: str(self.servicebus_certificate),
            EVENTHUB_CONNECTION: self.eventhub_connection_string,
            KAFKA_BOOTSTRAP: self.kafka_bootstrap,
            COSMOS_CONNECTION: self.cosmos_connection_string,
            ISSUER: self.issuer,
            AUDIENCE: "songline",
            CLIENT_ID: CLIENT,
            CLIENT_SECRET_FILE: str(self.data / "identity" / "secrets" / CLIENT),
        }

    def settings(self) -> CloudSettings:
        return CloudSettings.read(self.environment)


class SharedCloud(LocalCloud):
    """A namespace of its own in the running localcloud `host`, which takes a moment where a process takes seconds.

    It has the product's entities and Blob Storage. It can't be killed: a test that does so has a localcloud of its own.
    """

    def __init__(self, host: LocalCloud) -> None:
        super().__init__(host.data, ["--blobs"])
        self._host = host
        self._name = ""

    def start(self) -> Self:
        """Open the namespace."""
        declared = {service: list(emulator_files.files(service)) for service in CONFIG_OPTIONS.values()}
        declarations = Declarations(config=declared["eventhubs"], servicebus_config=declared["servicebus"], blobs=True)
        opened = self._host.control("POST", "/namespaces", declarations.request())
        self._name, self.ports, self.keys = opened["name"], opened["ports"], self._host.keys
        self._certificate, self._blob_account = Path(opened["servicebus_certificate"]), opened["blob_account"]
        return self

    def stop(self) -> None:
        """Remove it, with all that it holds."""
        self._host.close(self._name)

    def restart(self) -> Self:
        self.kill()

    def kill(self) -> NoReturn:
        raise NotImplementedError("other tests need this localcloud: expected a test that kills one to start its own")


def nobody(data: Path) -> LocalCloud:
    """A localcloud that is not there: all its addresses are the discard port, where nobody listens."""
    cloud = LocalCloud(data)
    cloud.ports = dict.fromkeys(cloud.ports, 9)
    return cloud
