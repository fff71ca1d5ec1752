"""The issuer of a localcloud, by clients that know nothing of it: Authlib gets tokens, PyJWT checks them."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
import pytest
from authlib.integrations.requests_client import OAuth2Session

from localcloud.testing import Declarations, LocalCloudProcess
from localcloud_tests.support.identity import PAGE_SECRET, RETURN, VERIFIER, declare

FOLDER_MODE, FILE_MODE = 0o700, 0o600


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloudProcess]:
    folder = tmp_path_factory.mktemp("issuer")
    file = declare(folder, SigningAlgorithm="RS256")
    cloud = LocalCloudProcess(folder / "data", ["--identity-config", str(file)]).start()
    yield cloud
    cloud.stop()


def discovered(cloud: LocalCloudProcess) -> dict[str, Any]:
    address = f"{cloud.issuer}/.well-known/openid-configuration"
    found: dict[str, Any] = httpx.get(address, timeout=60).raise_for_status().json()
    return found


def checked(cloud: LocalCloudProcess, token: str, audience: str, keys: jwt.PyJWKClient | None = None) -> dict[str, Any]:
    """The claims of a token, as an API checks it."""
    known = keys or jwt.PyJWKClient(discovered(cloud)["jwks_uri"])
    key = known.get_signing_key_from_jwt(token)
    found: dict[str, Any] = jwt.decode(token, key, algorithms=["RS256"], audience=audience, issuer=cloud.issuer)
    return found


def service(cloud: LocalCloudProcess) -> OAuth2Session:
    secret = (cloud.data / "identity" / "secrets" / "cli").read_text()
    return OAuth2Session("cli", secret, scope="orders:read", token_endpoint=discovered(cloud)["token_endpoint"])


def page(cloud: LocalCloudProcess) -> OAuth2Session:
    return OAuth2Session(
        "page",
        PAGE_SECRET,
        scope="openid orders:read",
        redirect_uri=RETURN,
        code_challenge_method="S256",
        token_endpoint=discovered(cloud)["token_endpoint"],
        revocation_endpoint_auth_method="client_secret_basic",
    )


def signed_in(cloud: LocalCloudProcess, client: OAuth2Session, user: str) -> dict[str, Any]:
    """The tokens of a user who opens the link with the code, and clicks on their name."""
    found = discovered(cloud)
    address, _ = client.create_authorization_url(found["authorization_endpoint"], code_verifier=VERIFIER, nonce="n-1")
    with httpx.Client(timeout=60) as browser:
        browser.get(f"{cloud.issuer}/trust", params={"code": cloud.sign_in_code}).raise_for_status()
        shown = browser.get(address).raise_for_status()
        assert f'value="{user}"' in shown.text
        clicked = browser.post(f"{cloud.issuer}/sign-in?{urlsplit(address).query}", data={"user": user})
    tokens: dict[str, Any] = client.fetch_token(
        found["token_endpoint"], authorization_response=clicked.headers["location"], code_verifier=VERIFIER
    )
    return tokens


def test_a_service_gets_tokens(cloud: LocalCloudProcess) -> None:
    token = service(cloud).fetch_token()
    assert checked(cloud, token["access_token"], "shop")["sub"] == "cli"


def test_a_user_signs_in_stays_and_signs_out(cloud: LocalCloudProcess) -> None:
    found, client = discovered(cloud), page(cloud)
    tokens = signed_in(cloud, client, "grace")
    assert checked(cloud, tokens["access_token"], "shop")["sub"] == "grace"
    assert checked(cloud, tokens["id_token"], "page")["nonce"] == "n-1"
    following = client.refresh_token(found["token_endpoint"], refresh_token=tokens["refresh_token"])
    assert following["refresh_token"] != tokens["refresh_token"]
    assert client.revoke_token(found["revocation_endpoint"], following["refresh_token"]).status_code == 200
    with pytest.raises(Exception, match="invalid_grant"):
        client.refresh_token(found["token_endpoint"], refresh_token=following["refresh_token"])


def test_tokens_stay_good_when_keys_change_and_when_it_is_killed(cloud: LocalCloudProcess) -> None:
    known = jwt.PyJWKClient(discovered(cloud)["jwks_uri"], cooldown_duration=0)
    before = service(cloud).fetch_token()["access_token"]
    checked(cloud, before, "shop", known)
    signed = signed_in(cloud, page(cloud), "ada")
    made = cloud.control("POST", "/signing-keys")
    after = service(cloud).fetch_token()["access_token"]
    assert jwt.get_unverified_header(after)["kid"] == made["kid"]
    # The client asks for the keys again, as it does not know this one.
    for token in (after, before):
        checked(cloud, token, "shop", known)
    cloud.restart()
    for token in (before, after, service(cloud).fetch_token()["access_token"]):
        assert checked(cloud, token, "shop")
    assert page(cloud).refresh_token(discovered(cloud)["token_endpoint"], refresh_token=signed["refresh_token"])


def test_all_namespaces_share_the_issuer(cloud: LocalCloudProcess) -> None:
    with cloud.namespace(Declarations()) as opened:
        assert opened.issuer == cloud.issuer
        health = httpx.get(f"http://127.0.0.1:{opened.ports['control']}/health", timeout=60)
        assert health.json()["ports"] == opened.ports


def test_what_it_keeps_is_its_owner_s_and_its_log_has_no_secret(cloud: LocalCloudProcess) -> None:
    token = service(cloud).fetch_token()["access_token"]
    httpx.post(f"{cloud.issuer}/token", data={"grant_type": "nothing"}, auth=("page", PAGE_SECRET), timeout=60)
    httpx.post(f"{cloud.issuer}/token", data={"grant_type": "nothing"}, auth=("page", "guessed-secret"), timeout=60)
    folder = cloud.data / "identity"
    kept = [file for file in folder.rglob("*") if file.is_file()]
    assert {file.name for file in kept} >= {"keys.json", "cli", "sign-in-code"}
    assert folder.stat().st_mode & 0o777 == FOLDER_MODE
    for file in kept:
        assert file.stat().st_mode & 0o777 == FILE_MODE, file
    secret = (folder / "secrets" / "cli").read_text()
    log = cloud.log()
    assert not [word for word in (token, secret, PAGE_SECRET, "guessed-secret") if word in log]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("keys.json", b"damaged", "keys.json holds no signing keys"),
        ("browsers.json", b"damaged", "browsers.json holds no browsers"),
        ("identity.json", b"{", "declaration of clients"),
    ],
)
def test_it_does_not_start_on_what_it_can_not_read(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    folder = tmp_path / "identity"
    folder.mkdir()
    (folder / "identity.json").write_bytes(b"{}")
    (folder / name).write_bytes(content)
    config = str(folder / "identity.json")
    done = subprocess.run(
        [sys.executable, "-m", "localcloud", "--data", str(tmp_path), "--identity-config", config],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("localcloud: ")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_issuer_is_served_alone(tmp_path: Path) -> None:
    alone = LocalCloudProcess(tmp_path / "data", ["--only", "identity", "--identity-config", str(declare(tmp_path))])
    alone.start()
    try:
        assert set(alone.ports) == {"identity"}
        assert {path.name for path in alone.data.iterdir() if path.is_dir()} == {"identity"}
        keys = httpx.get(discovered(alone)["jwks_uri"], timeout=60).raise_for_status().json()
        assert keys["keys"]
    finally:
        alone.stop()
