"""Settings, read once from the environment: cast, loud, with secrets masked.

Names are those that Azure Service Connector gives an application, so that an app which is connected by
`az webapp connection create` or by azd needs nothing renamed. Each service takes a connection string or, for
Entra credentials, the name of its host.
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Self
from urllib.parse import urlsplit

from msgspec import Struct

EVENTHUB_CONNECTION = "AZURE_EVENTHUB_CONNECTIONSTRING"
EVENTHUB_NAMESPACE = "AZURE_EVENTHUB_FULLYQUALIFIEDNAMESPACE"
SERVICEBUS_CONNECTION = "AZURE_SERVICEBUS_CONNECTIONSTRING"
SERVICEBUS_NAMESPACE = "AZURE_SERVICEBUS_FULLYQUALIFIEDNAMESPACE"
SERVICEBUS_MANAGEMENT = "SONGLINE_SERVICEBUS_MANAGEMENT"
SERVICEBUS_CERTIFICATE = "SONGLINE_SERVICEBUS_CERTIFICATE"
BLOB_CONNECTION = "AZURE_STORAGEBLOB_CONNECTIONSTRING"
BLOB_ENDPOINT = "AZURE_STORAGEBLOB_RESOURCEENDPOINT"
COSMOS_CONNECTION = "AZURE_COSMOS_CONNECTIONSTRING"
COSMOS_ENDPOINT = "AZURE_COSMOS_RESOURCEENDPOINT"
KAFKA_BOOTSTRAP = "SONGLINE_KAFKA_BOOTSTRAP"


_KEY = re.compile(r"(\b\w*(?:key|secret|password|signature|token|sig))=[^;&'\"\s]+", re.IGNORECASE)
_USER = re.compile(r"//[^/?#\s'\"]*@")


class SettingError(Exception):
    """A setting is missing or wrong. Nothing starts until the operator has mended it."""

    def __init__(self, name: str, saw: str, expected: str) -> None:
        # A connection string may stand where an address is expected.
        shown = _USER.sub("//***@", _KEY.sub(r"\1=***", saw))
        super().__init__(f"{name}: saw {shown}, expected {expected}")
        self.name = name


class Secret(str):
    """A string that prints as stars."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'**********'"

    def __str__(self) -> str:
        return "**********"

    def reveal(self) -> str:
        return str.__str__(self)


class EventHubsSettings(Struct, frozen=True):
    """Where the Event Hubs namespace is: a connection string, or its host name for Entra credentials.

    `kafka` is the Kafka bootstrap address, `host:port`; `plaintext` says that the connection has no TLS (an emulator).
    """

    connection: Secret | None
    host: str
    kafka: str
    plaintext: bool


class CosmosSettings(Struct, frozen=True):
    """Where the Cosmos DB account is: an endpoint, with its key, or without one for Entra credentials."""

    endpoint: str
    key: Secret | None


class ServiceBusSettings(Struct, frozen=True):
    """Where the Service Bus namespace is: a connection string, or its host name for Entra credentials.

    `management` is the HOST:PORT of its management over HTTPS, None where there is none (Microsoft's emulator speaks
    plain HTTP, which the SDK does not); `certificate` is the PEM file to trust there, None for the system's.
    """

    connection: Secret | None
    host: str
    management: str | None = None
    certificate: str | None = None


class BlobSettings(Struct, frozen=True):
    """Where the storage account's Blob service is: a connection string, or its endpoint for Entra credentials."""

    connection: Secret | None
    endpoint: str | None


class CloudSettings(Struct, frozen=True):
    eventhubs: EventHubsSettings
    cosmos: CosmosSettings

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """The settings in `environ`; raises SettingError, which names the setting, what it saw and what it expects."""
        return cls(eventhubs=read_eventhubs(environ), cosmos=read_cosmos(environ))


def read_eventhubs(environ: Mapping[str, str]) -> EventHubsSettings:
    """The Event Hubs part alone, for a process that needs nothing else; raises SettingError."""
    connection, host, emulator = _namespace(environ, EVENTHUB_CONNECTION, EVENTHUB_NAMESPACE)
    kafka = _address(environ, KAFKA_BOOTSTRAP, f"{host}:{9092 if emulator else 9093}")
    return EventHubsSettings(connection, host, kafka, plaintext=emulator)


def read_servicebus(environ: Mapping[str, str]) -> ServiceBusSettings:
    """The Service Bus part alone; raises SettingError."""
    connection, host, emulator = _namespace(environ, SERVICEBUS_CONNECTION, SERVICEBUS_NAMESPACE)
    management = _address(environ, SERVICEBUS_MANAGEMENT, "" if emulator else f"{host}:443")
    return ServiceBusSettings(connection, host, management or None, environ.get(SERVICEBUS_CERTIFICATE) or None)


def names_blobs(environ: Mapping[str, str]) -> bool:
    """Whether `environ` says where Blob Storage is."""
    return bool(environ.get(BLOB_CONNECTION) or environ.get(BLOB_ENDPOINT))


def read_blobs(environ: Mapping[str, str]) -> BlobSettings:
    """The Blob Storage part alone; raises SettingError."""
    text = environ.get(BLOB_CONNECTION, "")
    if text:
        connection_parts(BLOB_CONNECTION, text, ("AccountName", "AccountKey"))
        return BlobSettings(Secret(text), endpoint=None)
    endpoint = environ.get(BLOB_ENDPOINT, "")
    if not endpoint:
        raise SettingError(BLOB_CONNECTION, "nothing", f"a connection string, or {BLOB_ENDPOINT}")
    return BlobSettings(None, _url(BLOB_ENDPOINT, endpoint, "https://music.blob.core.windows.net/"))


def read_cosmos(environ: Mapping[str, str]) -> CosmosSettings:
    """The Cosmos DB part alone; raises SettingError."""
    text = environ.get(COSMOS_CONNECTION, "")
    if not text:
        endpoint = environ.get(COSMOS_ENDPOINT, "")
        if not endpoint:
            raise SettingError(COSMOS_CONNECTION, "nothing", f"a connection string, or {COSMOS_ENDPOINT}")
        return CosmosSettings(_url(COSMOS_ENDPOINT, endpoint), key=None)
    parts = connection_parts(COSMOS_CONNECTION, text, ("AccountEndpoint", "AccountKey"))
    return CosmosSettings(_url(COSMOS_CONNECTION, parts["accountendpoint"]), Secret(parts["accountkey"]))


def read_number(
    environ: Mapping[str, str], name: str, default: float, between: tuple[float, float], meaning: str = "a number"
) -> float:
    """The number in the setting `name`; raises SettingError, which tells its `meaning`, unless it is `between` these
    two, or one of them."""
    text = environ.get(name) or str(default)
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not between[0] <= number <= between[1]:
        raise SettingError(name, repr(text), f"{meaning} from {between[0]:g} to {between[1]:g}")
    return number


def read_host(environ: Mapping[str, str], name: str) -> str:
    """The address to listen on in the setting `name`, this machine's own by default; raises SettingError."""
    text = environ.get(name) or "127.0.0.1"
    try:
        return str(ip_address(text))
    except ValueError:
        raise SettingError(name, repr(text), "an address to listen on, such as 0.0.0.0 in a container") from None


def connection_parts(name: str, text: str, needed: tuple[str, ...]) -> dict[str, str]:
    """`Key=value;Key=value` by lower-case key; raises SettingError for the setting `name` where a key is missing.

    The message shows the keys that were seen and none of their values.
    """
    pairs = [part.partition("=") for part in text.split(";") if part.strip()]
    parts = {key.strip().lower(): value.strip() for key, _, value in pairs}
    missing = [key for key in needed if not parts.get(key.lower())]
    if missing:
        seen = ", ".join(key.strip() for key, _, _ in pairs)
        raise SettingError(name, f"the keys {seen}", f"also {' and '.join(missing)}")
    return parts


def _namespace(environ: Mapping[str, str], connection: str, namespace: str) -> tuple[Secret | None, str, bool]:
    """The connection string if there is one, the namespace's host, and whether it is an emulator's, without TLS."""
    text = environ.get(connection, "")
    if not text:
        host = environ.get(namespace, "")
        if not host:
            raise SettingError(connection, "nothing", f"a connection string, or {namespace}")
        if "/" in host or ":" in host:
            raise SettingError(namespace, repr(host), "a host name such as music.servicebus.windows.net")
        return None, host, False
    parts = connection_parts(connection, text, ("Endpoint",))
    host = urlsplit(parts["endpoint"]).hostname or ""
    if not host:
        raise SettingError(connection, f"Endpoint={parts['endpoint']}", "Endpoint=sb://HOST")
    return Secret(text), host, parts.get("usedevelopmentemulator") == "true"


def _address(environ: Mapping[str, str], name: str, default: str) -> str:
    address = environ.get(name) or default
    host, _, port = address.rpartition(":")
    if address and not (host and port.isdecimal()):
        raise SettingError(name, repr(address), "HOST:PORT")
    return address


def _url(name: str, text: str, example: str = "https://music.documents.azure.com:443/") -> str:
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise SettingError(name, repr(text), f"an address such as {example}")
    return text
