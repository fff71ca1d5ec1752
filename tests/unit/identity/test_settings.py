"""Settings of identity."""

from pathlib import Path

import pytest

from songline.cloud.settings import SettingError
from songline.identity.settings import (
    AUDIENCE,
    CLIENT_ID,
    CLIENT_SECRET,
    CLIENT_SECRET_FILE,
    ISSUER,
    JWKS,
    ClientSettings,
    VerifierSettings,
)

HERE = {ISSUER: "http://127.0.0.1:5302", AUDIENCE: "songline"}


def test_a_verifier_needs_an_issuer_and_an_audience() -> None:
    assert VerifierSettings.read(HERE) == VerifierSettings("http://127.0.0.1:5302", "songline")
    assert VerifierSettings.read({**HERE, JWKS: "https://a.example/keys"}).jwks == "https://a.example/keys"
    for name in HERE:
        with pytest.raises(SettingError, match=f"{name}: saw nothing"):
            VerifierSettings.read({**HERE, name: ""})


@pytest.mark.parametrize(
    "address", ["https://a.example/x", "http://localhost:1", "http://[::1]:1", "http://127.1.2.3/"]
)
def test_addresses_that_are_safe(address: str) -> None:
    assert VerifierSettings.read({**HERE, ISSUER: address}).issuer == address


@pytest.mark.parametrize(
    "address",
    ["http://login.example", "http://localhost.example", "ftp://a.example", "login.example", "https://", "http://[::1",
     "https://user:password@a.example", "https://:password@a.example", "https://a.example/\n", " https://a.example",
     "https://a.example/x y", "http://127.0.0.1.example/", "https://a.example/#x",
     "https://a.example:99999"],
)  # fmt: skip
@pytest.mark.parametrize("name", [ISSUER, JWKS])
def test_a_secret_goes_to_no_address_that_others_can_read(name: str, address: str) -> None:
    with pytest.raises(SettingError, match=f"{name}: saw .*HTTP on this machine only") as raised:
        VerifierSettings.read({**HERE, name: address})
    assert "password" not in str(raised.value)


def test_a_client_has_its_secret_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("of-the-file\n")
    environ = {**HERE, CLIENT_ID: "cli", CLIENT_SECRET_FILE: str(file)}
    found = ClientSettings.read(environ)
    assert found.secret.reveal() == "of-the-file"
    assert "of-the-file" not in repr(found)
    assert ClientSettings.read({**environ, CLIENT_SECRET: "given"}).secret.reveal() == "given"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({ISSUER: ""}, f"{ISSUER}: saw nothing"),
        ({CLIENT_ID: ""}, f"{CLIENT_ID}: saw nothing"),
        ({CLIENT_SECRET_FILE: ""}, f"{CLIENT_SECRET_FILE}: saw nothing"),
        ({CLIENT_SECRET_FILE: "/none/secret"}, "'/none/secret': No such file"),
        ({CLIENT_SECRET_FILE: "/"}, "Is a directory"),
        ({CLIENT_SECRET_FILE: "/dev/null"}, "without text"),
    ],
)
def test_what_a_client_lacks_is_named(changes: dict[str, str], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        ClientSettings.read({**HERE, CLIENT_ID: "cli", CLIENT_SECRET_FILE: "/dev/null", **changes})
