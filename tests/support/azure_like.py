"""localcloud as Azure is, with the settings that `songline up --like-azure` gives: TLS, identities, no keys."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

from songline.processes.azure_like import azure_environment
from songline.processes.local_eventgrid import EVENTGRID_PORT
from songline.processes.managed_identity import CLIENT, IDENTITIES_FILE, VARIABLES, client_ids, write_identities
from tests.support.localcloud import LocalCloud

SERVICES = {"EVENTHUBS": "eventhubs", "SERVICEBUS": "servicebus", "COSMOS": "cosmos", "BLOB": "blob"}


class AzureLikeCloud(LocalCloud):
    """A localcloud of its own, with Blob Storage; `arguments` are besides."""

    def __init__(self, data: Path, *arguments: str) -> None:
        declared = f"--identity-config={data / IDENTITIES_FILE}"
        super().__init__(data, ["--like-azure", "--blobs", declared, *arguments])

    def start(self) -> Self:
        self.data.mkdir(parents=True, exist_ok=True)
        write_identities(self.data)
        return super().start()

    @property
    def keyed_environment(self) -> Mapping[str, str]:
        """Settings with keys, which open nothing here."""
        return super().environment

    @property
    def environment(self) -> Mapping[str, str]:
        ports = {f"SONGLINE_{name}_PORT": str(self.ports[service]) for name, service in SERVICES.items()}
        if "eventgrid" in self.ports:
            ports[EVENTGRID_PORT] = str(self.ports["eventgrid"])
        return azure_environment({**super().environment, **ports}, self.data, self.issuer)

    @contextmanager
    def acting_as(self, name: str) -> Iterator[None]:
        """This process has the identity of the process `name` for as long."""
        environ = {**self.environment, CLIENT: client_ids()[name]}
        with pytest.MonkeyPatch.context() as patch:
            for variable in VARIABLES:
                patch.setenv(variable, environ[variable])
            yield
