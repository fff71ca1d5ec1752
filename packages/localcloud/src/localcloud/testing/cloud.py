"""One namespace of a localcloud: the addresses of its services, and orders to its control endpoint."""

import json
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from localcloud.account_keys import DEV_KEYS, AccountKeys
from localcloud.published_keys import BLOB_ACCOUNT, SAS_KEY_NAME
from localcloud.testing import cosmos_rest

DEADLINE_S = 30.0
# A proxy of the environment is for other hosts.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ControlError(ValueError):
    """The control endpoint refused an order; the message has its words."""


class LocalCloud:
    """A namespace: connection strings for the SDKs, faults, hubs. `ports` are the services' by name, on 127.0.0.1.

    With `tls` clients have to trust `authority`, and clients of Event Hubs and Service Bus take the port by
    `custom_endpoint_address`: the SDKs drop that of a connection string.
    """

    def __init__(
        self,
        ports: Mapping[str, int],
        certificate: Path,
        blob_account: str | None = None,
        keys: AccountKeys = DEV_KEYS,
        *,
        tls: bool = False,
    ) -> None:
        self.ports = dict(ports)
        self.keys = keys
        self.tls = tls
        self._certificate = certificate
        self._blob_account = blob_account

    @property
    def eventhub_connection_string(self) -> str:
        """For the Event Hubs SDKs; also the password of Kafka clients, whose user is `$ConnectionString`."""
        return self._sas_connection_string("eventhubs")

    @property
    def kafka_bootstrap(self) -> str:
        """Host and port for Kafka clients, which sign in by SASL PLAIN over plain TCP, or over TLS."""
        return f"127.0.0.1:{self.ports['kafka']}"

    @property
    def servicebus_connection_string(self) -> str:
        return self._sas_connection_string("servicebus")

    @property
    def servicebus_admin_connection_string(self) -> str:
        """For the administration client, which has to trust `servicebus_certificate` (`connection_verify`)."""
        return self._sas_connection_string("servicebus-admin")

    @property
    def servicebus_certificate(self) -> Path:
        return self._certificate

    @property
    def authority(self) -> Path:
        """The authority of all certificates, as a PEM file."""
        return self._certificate

    @property
    def eventhub_endpoint(self) -> str:
        """`custom_endpoint_address` of the Event Hubs SDKs, for TLS."""
        return f"sb://127.0.0.1:{self.ports['eventhubs']}"

    @property
    def servicebus_endpoint(self) -> str:
        """`custom_endpoint_address` of the Service Bus SDKs, for TLS."""
        return f"sb://127.0.0.1:{self.ports['servicebus']}"

    @property
    def cosmos_endpoint(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.ports['cosmos']}/"

    @property
    def cosmos_key(self) -> str:
        return self.keys.cosmos

    @property
    def cosmos_connection_string(self) -> str:
        return f"AccountEndpoint={self.cosmos_endpoint};AccountKey={self.cosmos_key}"

    @property
    def issuer(self) -> str:
        """The address of the OpenID Connect issuer, which all namespaces of a localcloud share."""
        return f"http://127.0.0.1:{self.ports['identity']}"

    @property
    def blob_connection_string(self) -> str:
        """Raises LookupError in a namespace that has no Blob Storage."""
        if "blob" not in self.ports:
            raise LookupError("this namespace has no Blob Storage: ask for it (`blobs=True`, or `--blobs`)")
        account = self._blob_account or BLOB_ACCOUNT
        return (
            f"DefaultEndpointsProtocol={self._scheme};AccountName={account};AccountKey={self.keys.blob};"
            f"BlobEndpoint={self._scheme}://127.0.0.1:{self.ports['blob']}/{account};"
        )

    @contextmanager
    def faults(self, *rules: Mapping[str, object]) -> Iterator[Callable[[], list[int]]]:
        """These faults and no others for as long (docs/faults.md); gives how often each one struck."""
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

    def create_container(self, path: str, partition_key: str | Sequence[str]) -> None:
        """Create the Cosmos DB container `database/container`, and its database, where they are missing."""
        trusted = self.authority if self.tls else None
        cosmos_rest.create_container(self.cosmos_endpoint, self.cosmos_key, path, partition_key, trusted)

    def control(self, method: str, path: str, body: object = None) -> Any:
        """The answer of the control endpoint. Raises ControlError with its words when it refuses."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports['control']}{path}", data, method=method)
        if self.keys.control is not None:
            request.add_header("Authorization", f"Bearer {self.keys.control}")
        try:
            with _OPENER.open(request, timeout=DEADLINE_S) as answer:
                return json.loads(answer.read())
        except HTTPError as error:
            with error:
                raise ControlError(f"{method} {path}: {error.read().decode(errors='replace')}") from None

    def _sas_connection_string(self, service: str) -> str:
        return (
            f"Endpoint=sb://127.0.0.1:{self.ports[service]};SharedAccessKeyName={SAS_KEY_NAME};"
            f"SharedAccessKey={self.keys.sas}{'' if self.tls else ';UseDevelopmentEmulator=true'}"
        )

    @property
    def _scheme(self) -> str:
        return "https" if self.tls else "http"
