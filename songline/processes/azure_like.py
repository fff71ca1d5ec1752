"""The settings of a system on localcloud that is reached as Azure is: TLS, tokens, and no key anywhere."""

from collections.abc import Mapping
from pathlib import Path

import httpx

from songline.cloud.settings import (
    AUTHORITIES,
    BLOB_CONNECTION,
    BLOB_ENDPOINT,
    COSMOS_CONNECTION,
    COSMOS_ENDPOINT,
    EVENTGRID_ENDPOINT,
    EVENTGRID_KEY,
    EVENTHUB_CONNECTION,
    EVENTHUB_NAMESPACE,
    KAFKA_BOOTSTRAP,
    SERVICEBUS_CERTIFICATE,
    SERVICEBUS_CONNECTION,
    SERVICEBUS_MANAGEMENT,
    SERVICEBUS_NAMESPACE,
    WEBSOCKETS,
    SettingError,
)
from songline.processes.cloud_keys import BLOB_ACCOUNT
from songline.processes.entities import CONTAINERS
from songline.processes.local_eventgrid import EVENTGRID_PORT, TOPIC_PATH
from songline.processes.managed_identity import OTHER_SIGN_INS, VARIABLES, identity_environment
from songline.processes.ports import HOST
from songline.schemas.channels import DATABASE

KEYED = (
    EVENTHUB_CONNECTION,
    SERVICEBUS_CONNECTION,
    COSMOS_CONNECTION,
    BLOB_CONNECTION,
    EVENTGRID_KEY,
    SERVICEBUS_CERTIFICATE,
)
"""Settings that hold a key, or that one authority for all makes useless."""

TOLD = (
    EVENTHUB_NAMESPACE,
    KAFKA_BOOTSTRAP,
    SERVICEBUS_NAMESPACE,
    SERVICEBUS_MANAGEMENT,
    COSMOS_ENDPOINT,
    BLOB_ENDPOINT,
    AUTHORITIES,
    WEBSOCKETS,
    *VARIABLES,
)
"""The settings that other terminals need in place of those."""

REQUEST_UNITS = 4_000
"""Request units a second of the database, which its containers share."""

TIMEOUT_S = 30.0


def azure_environment(environ: Mapping[str, str], data: Path, issuer: str) -> dict[str, str]:
    """`environ` of a system with keys, as one without: hosts and ports stay, so that the data goes on. Raises OSError.

    `SONGLINE_AMQP_WEBSOCKETS` is taken from `environ`.
    """
    ports = {name: environ[f"SONGLINE_{name}_PORT"] for name in ("EVENTHUBS", "SERVICEBUS", "COSMOS", "BLOB")}
    topic = environ.get(EVENTGRID_PORT)
    return {
        **{name: value for name, value in environ.items() if name not in (*KEYED, *OTHER_SIGN_INS)},
        EVENTHUB_NAMESPACE: f"{HOST}:{ports['EVENTHUBS']}",
        SERVICEBUS_NAMESPACE: f"{HOST}:{ports['SERVICEBUS']}",
        COSMOS_ENDPOINT: f"https://{HOST}:{ports['COSMOS']}/",
        BLOB_ENDPOINT: f"https://{HOST}:{ports['BLOB']}/{BLOB_ACCOUNT}",
        **({EVENTGRID_ENDPOINT: f"https://{HOST}:{topic}{TOPIC_PATH}"} if topic else {}),
        AUTHORITIES: str(data.resolve() / "tls" / "authority.pem"),
        WEBSOCKETS: environ.get(WEBSOCKETS) or "off",
        **identity_environment(data, issuer),
    }


def declare_containers(control: str, key: str) -> None:
    """Create the database and the containers that are missing, as Azure's management plane does: no role of data can.

    `control` is localcloud's control endpoint, `key` its key. Raises SettingError, httpx.TransportError.
    """
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=control, headers=headers, timeout=TIMEOUT_S, trust_env=False) as client:
        throughput = {"x-ms-offer-throughput": str(REQUEST_UNITS)}
        _check(client.post("/cosmos/dbs", json={"id": DATABASE}, headers=throughput))
        for container in CONTAINERS:
            _check(client.post(f"/cosmos/dbs/{DATABASE}/colls", json=container.description()))


def _check(answer: httpx.Response) -> None:
    if answer.status_code not in (201, 409):
        raise SettingError(
            str(answer.url), f"{answer.status_code} {answer.text[:200]}", "201, or 409 where it is there"
        )
