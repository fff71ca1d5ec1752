"""Identity in the system that `songline up` runs."""

import re
from pathlib import Path

import pytest

from songline.api.guard_settings import AUTH
from songline.identity.settings import ISSUER
from songline.processes.local_identity import identity_settings, sign_in_link, without_client
from songline.processes.page_client import page_settings
from tests.contract.test_settings_of_pages import CONSTANTS

SECRET = re.compile(r"(SECRET|TOKEN|PASSWORD|SESSION_KEY|TOKEN_KEY)$")
AZURE = ("AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PASSWORD", "AZURE_PASSWORD")


@pytest.mark.parametrize("name", sorted({*filter(SECRET.search, CONSTANTS), *AZURE}))
def test_no_process_gets_a_secret_of_the_shell(tmp_path: Path, name: str) -> None:
    settings = {**identity_settings({}, tmp_path, "http://127.0.0.1:5302"), **page_settings(tmp_path, "http://x")}
    found = without_client({"PATH": "/bin", name: "hidden", **settings})
    assert name not in found
    assert found["PATH"] == "/bin"
    # The API reads the secret of the page's client from localcloud's file.
    assert found["SONGLINE_PAGE_CLIENT_SECRET_FILE"] == settings["SONGLINE_PAGE_CLIENT_SECRET_FILE"]


def test_secrets_were_found() -> None:
    assert {"SONGLINE_PAGE_CLIENT_SECRET", "SONGLINE_TOKEN", "SONGLINE_SESSION_KEY", "SONGLINE_TOKEN_KEY"} <= set(
        CONSTANTS
    )


def test_nobody_is_told_to_sign_in_where_nobody_is_asked_for_a_token(tmp_path: Path) -> None:
    issuer = "http://127.0.0.1:5302"
    assert sign_in_link({AUTH: "on", ISSUER: issuer}, tmp_path) is None
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity" / "sign-in-code").write_text("the-code")
    assert (
        sign_in_link({AUTH: "on", ISSUER: issuer}, tmp_path) == f"{issuer}/trust?client_id=songline-page&code=the-code"
    )
    assert sign_in_link({AUTH: "off", ISSUER: issuer}, tmp_path) is None
