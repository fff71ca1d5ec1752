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
EVENTGRID_ENDPOINT = "AZURE_EVENTGRID_TOPIC_ENDPOINT"
EVENTGRID_KEY = "AZURE_EVENTGRID_TOPIC_KEY"
KAFKA_BOOTSTRAP = "SONGLINE_KAFKA_BOOTSTRAP"
AUTHORITIES = "SONGLINE_TLS_AUTHORITIES"
WEBSOCKETS = "SONGLINE_AMQP_WEBSOCKETS"


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


class HiddenStruct(Struct, frozen=True):
    """A value that prints without its fields, some of which are secrets: errors and crash reports may show it."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class EventHubsSettings(Struct, frozen=True):
    """Where the Event Hubs namespace is: a connection string, or its host name for Entra credentials.

    `kafka` is the Kafka bootstrap address, `host:port`; `plaintext` says that the connection has no TLS (an emulator).
    `port` is that of AMQP, None for the protocol's own. With `websockets` AMQP goes over HTTPS. `authorities` is a PEM
    file of authorities that are trusted besides the system's.
    """

    connection: Secret | None
    host: str
    kafka: str
    plaintext: bool
    port: int | None = None
    websockets: bool = False
    authorities: str | None = None

    @property
    def address(self) -> str:
        """The namespace as the SDK names it in its checkpoints: its host, with a port where there is one."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    @property
    def amqp_options(self) -> dict[str, str]:
        """What the SDK has to be told to find the port: over TLS it looks for none in a name or a connection string."""
        return {} if self.port is None or self.plaintext else {"custom_endpoint_address": f"sb://{self.address}"}


class CosmosSettings(Struct, frozen=True):
    """Where the Cosmos DB account is: an endpoint, with its key, or without one for Entra credentials."""

    endpoint: str
    key: Secret | None
    authorities: str | None = None


class ServiceBusSettings(Struct, frozen=True):
    """Where the Service Bus namespace is: a connection string, or its host name for Entra credentials.

    `management` is the HOST:PORT of its management over HTTPS, None where there is none (Microsoft's emulator speaks
    plain HTTP, which the SDK does not); `certificate` is the PEM file to trust there, None for the system's.
    """

    connection: Secret | None
    host: str
    management: str | None = None
    certificate: str | None = None
    plaintext: bool = False
    port: int | None = None
    websockets: bool = False
    authorities: str | None = None

    @property
    def amqp_options(self) -> dict[str, str]:
        """As those of EventHubsSettings."""
        address = f"sb://{self.host}:{self.port}"
        return {} if self.port is None or self.plaintext else {"custom_endpoint_address": address}


class BlobSettings(Struct, frozen=True):
    """Where the storage account's Blob service is: a connection string, or its endpoint for Entra credentials."""

    connection: Secret | None
    endpoint: str | None
    authorities: str | None = None


class EventGridSettings(Struct, frozen=True):
    """Where the topic of Event Grid takes events, with its key, or without one for Entra credentials."""

    endpoint: str
    key: Secret | None
    authorities: str | None = None


class CloudSettings(Struct, frozen=True):
    eventhubs: EventHubsSettings
    cosmos: CosmosSettings

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """The settings in `environ`; raises SettingError, which names the setting, what it saw and what it expects."""
        return cls(eventhubs=read_eventhubs(environ), cosmos=read_cosmos(environ))


def read_eventhubs(environ: Mapping[str, str]) -> EventHubsSettings:
    """The Event Hubs part alone, for a process that needs nothing else; raises SettingError."""
    found = _namespace(environ, EVENTHUB_CONNECTION, EVENTHUB_NAMESPACE)
    kafka = _address(environ, KAFKA_BOOTSTRAP, f"{found.host}:{9092 if found.plaintext else 9093}")
    return EventHubsSettings(
        found.connection,
        found.host,
        kafka,
        plaintext=found.plaintext,
        port=found.port,
        websockets=_read_switch(environ, WEBSOCKETS),
        authorities=_authorities(environ),
    )


def read_servicebus(environ: Mapping[str, str]) -> ServiceBusSettings:
    """The Service Bus part alone; raises SettingError."""
    found = _namespace(environ, SERVICEBUS_CONNECTION, SERVICEBUS_NAMESPACE)
    management = _address(environ, SERVICEBUS_MANAGEMENT, "" if found.plaintext else f"{found.host}:443")
    return ServiceBusSettings(
        found.connection,
        found.host,
        management or None,
        environ.get(SERVICEBUS_CERTIFICATE) or None,
        plaintext=found.plaintext,
        port=found.port,
        websockets=_read_switch(environ, WEBSOCKETS),
        authorities=_authorities(environ),
    )


def names_blobs(environ: Mapping[str, str]) -> bool:
    """Whether `environ` says where Blob Storage is."""
    return bool(environ.get(BLOB_CONNECTION) or environ.get(BLOB_ENDPOINT))


def read_blobs(environ: Mapping[str, str]) -> BlobSettings:
    """The Blob Storage part alone; raises SettingError."""
    text = environ.get(BLOB_CONNECTION, "")
    if text:
        connection_parts(BLOB_CONNECTION, text, ("AccountName", "AccountKey"))
        return BlobSettings(Secret(text), endpoint=None, authorities=_authorities(environ))
    endpoint = environ.get(BLOB_ENDPOINT, "")
    if not endpoint:
        raise SettingError(BLOB_CONNECTION, "nothing", f"a connection string, or {BLOB_ENDPOINT}")
    return BlobSettings(
        None, _url(BLOB_ENDPOINT, endpoint, "https://music.blob.core.windows.net/"), authorities=_authorities(environ)
    )


def read_cosmos(environ: Mapping[str, str]) -> CosmosSettings:
    """The Cosmos DB part alone; raises SettingError."""
    text = environ.get(COSMOS_CONNECTION, "")
    if not text:
        endpoint = environ.get(COSMOS_ENDPOINT, "")
        if not endpoint:
            raise SettingError(COSMOS_CONNECTION, "nothing", f"a connection string, or {COSMOS_ENDPOINT}")
        return CosmosSettings(_url(COSMOS_ENDPOINT, endpoint), key=None, authorities=_authorities(environ))
    parts = connection_parts(COSMOS_CONNECTION, text, ("AccountEndpoint", "AccountKey"))
    endpoint = _url(COSMOS_CONNECTION, parts["accountendpoint"])
    return CosmosSettings(endpoint, Secret(parts["accountkey"]), authorities=_authorities(environ))


def read_eventgrid(environ: Mapping[str, str]) -> EventGridSettings:
    """The topic of Event Grid; raises SettingError."""
    example = "https://music.westeurope-1.eventgrid.azure.net/api/events"
    endpoint = environ.get(EVENTGRID_ENDPOINT, "")
    if not endpoint:
        raise SettingError(EVENTGRID_ENDPOINT, "nothing", f"the address of a topic, such as {example}")
    key = environ.get(EVENTGRID_KEY)
    address = _url(EVENTGRID_ENDPOINT, endpoint, example)
    return EventGridSettings(address, Secret(key) if key else None, authorities=_authorities(environ))


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


class _Namespace(Struct, frozen=True):
    """The connection string if there is one, host and port, and whether it is an emulator's, without TLS."""

    connection: Secret | None
    host: str
    port: int | None
    plaintext: bool


def _namespace(environ: Mapping[str, str], connection: str, namespace: str) -> _Namespace:
    text = environ.get(connection, "")
    if not text:
        host = environ.get(namespace, "")
        if not host:
            raise SettingError(connection, "nothing", f"a connection string, or {namespace}")
        found = _host_and_port(f"sb://{host}")
        if found is None or "/" in host or "@" in host:
            raise SettingError(namespace, repr(host), "a host name such as music.servicebus.windows.net, or HOST:PORT")
        return _Namespace(None, *found, plaintext=False)
    parts = connection_parts(connection, text, ("Endpoint",))
    found = _host_and_port(parts["endpoint"])
    if found is None:
        raise SettingError(connection, f"Endpoint={parts['endpoint']}", "Endpoint=sb://HOST")
    return _Namespace(Secret(text), *found, plaintext=parts.get("usedevelopmentemulator") == "true")


def _host_and_port(url: str) -> tuple[str, int | None] | None:
    parts = urlsplit(url)
    try:
        return (parts.hostname, parts.port) if parts.hostname else None
    except ValueError:
        return None


def _authorities(environ: Mapping[str, str]) -> str | None:
    return environ.get(AUTHORITIES) or None


def _read_switch(environ: Mapping[str, str], name: str) -> bool:
    text = environ.get(name) or "off"
    if text not in ("on", "off"):
        raise SettingError(name, repr(text), "on or off")
    return text == "on"


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
