"""Settings of the page's sign-in, and its client of localcloud."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from localcloud.identity.config import read_identity
from songline.api.session.settings import DEFAULT_SCOPES, PageSettings
from songline.cloud.settings import SettingError
from songline.identity.scopes import OWN_SCOPES
from songline.identity.settings import AUDIENCE, ISSUER
from songline.processes.environment import DATA
from songline.processes.page_client import PAGE_CLIENT, page_settings, trust_link, write_page_client

API = "http://127.0.0.1:8000"
FILE_MODE = 0o600


def environ(folder: Path, **changes: str) -> Mapping[str, str]:
    found = {
        ISSUER: "https://login.example",
        AUDIENCE: "songline",
        DATA: str(folder),
        "SONGLINE_PAGE_CLIENT_ID": "page",
        "SONGLINE_PAGE_CLIENT_SECRET": "hidden-words",
        "SONGLINE_PAGE_URL": "https://songline.example/",
    }
    return {**found, **{f"SONGLINE_{name.upper()}": value for name, value in changes.items()}}


def test_without_a_client_nobody_signs_in() -> None:
    assert PageSettings.read({}) is None


def test_the_redirect_uri_is_below_the_page_s_address(tmp_path: Path) -> None:
    found = PageSettings.read(environ(tmp_path))
    assert found is not None
    assert found.redirect_uri == "https://songline.example/v1/session/callback"
    assert found.scopes == DEFAULT_SCOPES
    assert "hidden-words" not in str(found)
    jar = found.jar("songline")
    assert (jar.name, jar.secure) == ("songline", True)


def test_the_cookie_has_the_port_in_its_name(tmp_path: Path) -> None:
    found = PageSettings.read(environ(tmp_path, page_url=API, page_scopes="openid  library:read"))
    assert found is not None
    assert (found.jar("songline").names[0], found.jar("songline").secure) == ("songline-8000", False)
    assert found.scopes == ("openid", "library:read")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"page_url": ""}, "SONGLINE_PAGE_URL"),
        ({"page_url": "http://songline.example"}, "SONGLINE_PAGE_URL"),
        ({"page_url": "https://songline.example/page"}, "SONGLINE_PAGE_URL"),
        ({"page_url": "https://songline.example?a=b"}, "SONGLINE_PAGE_URL"),
        ({"page_url": "javascript:alert(1)"}, "SONGLINE_PAGE_URL"),
        ({"page_client_secret": ""}, "SONGLINE_PAGE_CLIENT_SECRET_FILE"),
        ({"session_key": "short"}, "SONGLINE_SESSION_KEY"),
        ({"audience": ""}, AUDIENCE),
    ],
)
def test_what_is_missing_or_wrong_is_named(tmp_path: Path, changes: dict[str, str], named: str) -> None:
    with pytest.raises(SettingError, match=named):
        PageSettings.read(environ(tmp_path, **changes))


def test_the_declared_client_is_the_one_of_the_settings(tmp_path: Path) -> None:
    file = write_page_client(tmp_path, API)
    assert file.stat().st_mode & 0o777 == FILE_MODE
    client = read_identity([file]).clients[PAGE_CLIENT]
    (tmp_path / "secret").write_text("made by localcloud")
    settings = {
        **environ(tmp_path),
        "SONGLINE_PAGE_CLIENT_SECRET": "",
        **page_settings(tmp_path, API),
        "SONGLINE_PAGE_CLIENT_SECRET_FILE": str(tmp_path / "secret"),
    }
    found = PageSettings.read(settings)
    assert found is not None
    assert client.redirect_uris == (found.redirect_uri,)
    assert client.audience == found.verifying.audience
    assert set(client.scopes) == set(OWN_SCOPES)
    assert set(found.scopes) - {"openid", "offline_access"} == set(read_identity([file]).askable(client))
    # Another port, at the next start.
    write_page_client(tmp_path, "http://127.0.0.1:9000")
    assert json.loads(file.read_text())["Clients"][0]["RedirectUris"] == ["http://127.0.0.1:9000/v1/session/callback"]


def test_the_link_that_is_printed_carries_the_code(tmp_path: Path) -> None:
    assert trust_link(tmp_path, API) is None
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity" / "sign-in-code").write_text("a-code\n")
    assert trust_link(tmp_path, API) == f"{API}/trust?client_id={PAGE_CLIENT}&code=a-code"
    assert trust_link(tmp_path, "") is None
