"""The endpoint of managed identities: tokens for who knows the header, and the service's refusals."""

from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from localcloud.config import ConfigError
from localcloud.entra.audiences import is_event_hubs
from localcloud.entra.identities import ManagedIdentity
from localcloud.identity import app
from localcloud.identity.config import IdentityConfig, read_identity
from localcloud.identity.errors import IdentityStateError

NOW_S = 1_800_000_000.0
API = ManagedIdentity("shop-api", ("Azure Event Hubs Data Sender",))
WORKER = ManagedIdentity("shop-worker")
ASKED = {"api-version": "2019-08-01", "resource": "https://eventhubs.azure.net/"}


def config(*identities: ManagedIdentity) -> IdentityConfig:
    return IdentityConfig(managed_identities={one.name: one for one in identities}, token_s=60, algorithm="ES256")


async def ask(
    folder: Path, identities: tuple[ManagedIdentity, ...], parameters: dict[str, str], header: str | None = None
) -> httpx.Response:
    made, _, _ = app.create(folder, config(*identities), lambda: "http://127.0.0.1:1", lambda: NOW_S)
    shown = (folder / "managed-identity-header").read_text() if header is None else header
    async with httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://127.0.0.1:1") as client:
        return await client.get("/msi/token", params=parameters, headers={b"X-IDENTITY-HEADER": shown.encode()})


async def test_the_only_identity_need_not_be_named(tmp_path: Path) -> None:
    answer = await ask(tmp_path, (API,), ASKED)
    content = answer.json()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert content.pop("access_token").count(".") == 2
    assert content == {
        "client_id": API.client_id,
        "expires_on": str(int(NOW_S) + 60),
        "resource": ASKED["resource"],
        "token_type": "Bearer",
    }


@pytest.mark.parametrize("named", [{"client_id": WORKER.client_id}, {"principal_id": WORKER.principal_id}])
async def test_one_of_several_is_named(tmp_path: Path, named: dict[str, str]) -> None:
    answer = await ask(tmp_path, (API, WORKER), {**ASKED, **named})
    assert answer.json()["client_id"] == WORKER.client_id


@pytest.mark.parametrize(
    ("identities", "change", "words"),
    [
        ((), {}, "No User Assigned or Delegated Managed Identity found"),
        ((API, WORKER), {}, "2 identities are declared, and none is named"),
        ((API,), {"client_id": WORKER.client_id}, "No User Assigned or Delegated Managed Identity found"),
        ((API,), {"api-version": "2017-09-01"}, "api-version: saw '2017-09-01', expected 2019-08-01"),
        ((API,), {"resource": "https://graph.microsoft.com"}, "AADSTS500011"),
        ((API,), {"resource": ""}, "AADSTS500011"),
    ],
)
async def test_what_is_asked_wrongly_is_said(
    tmp_path: Path, identities: tuple[ManagedIdentity, ...], change: dict[str, str], words: str
) -> None:
    answer = await ask(tmp_path, identities, {**ASKED, **change})
    assert answer.status_code == 400
    assert words in answer.json()["message"]


@pytest.mark.parametrize("header", ["", "guessed", "ü"])
async def test_who_does_not_know_the_header_gets_nothing(tmp_path: Path, header: str) -> None:
    answer = await ask(tmp_path, (API,), ASKED, header)
    assert answer.status_code == 401
    assert "access_token" not in answer.text


async def test_the_header_stays_and_is_its_owners_alone(tmp_path: Path) -> None:
    await ask(tmp_path, (API,), ASKED)
    file = tmp_path / "managed-identity-header"
    before = file.read_text()
    assert (await ask(tmp_path, (API,), ASKED, before)).status_code == 200
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("")
    with pytest.raises(IdentityStateError, match="managed-identity-header holds no header"):
        app.create(tmp_path, config(API), lambda: "http://127.0.0.1:1", lambda: NOW_S)


async def test_a_token_is_one_that_services_take(tmp_path: Path) -> None:
    token = (await ask(tmp_path, (API,), ASKED)).json()["access_token"]
    made = app.create(tmp_path, config(API), lambda: "http://127.0.0.1:1", lambda: NOW_S)[2]
    assert made.check(token, is_event_hubs, NOW_S).roles == API.roles


def declare(file: Path, identities: list[dict[str, Any]]) -> Path:
    file.write_bytes(msgspec.json.encode({"ManagedIdentities": identities}))
    return file


def test_identities_are_declared_in_files(tmp_path: Path) -> None:
    one = declare(tmp_path / "one", [{"Name": "shop-api"}, {"Name": "shop-worker"}])
    other = declare(tmp_path / "other", [{"Name": "shop-api", "Roles": ["Azure Event Hubs Data Sender"]}])
    assert read_identity([one, other]).managed_identities == {"shop-api": API, "shop-worker": WORKER}


@pytest.mark.parametrize("wrong", [{"Name": "a b"}, {"Name": "shop", "Roles": ["King"]}, {"Roles": []}])
def test_a_wrong_declaration_is_named(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected a declaration of clients"):
        read_identity([declare(tmp_path / "wrong", [wrong])])
