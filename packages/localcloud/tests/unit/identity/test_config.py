"""The declaration of clients and users."""

import json
from pathlib import Path
from typing import Any

import pytest

from localcloud.config import ConfigError
from localcloud.identity.config import DEFAULT_TOKEN_S, read_identity
from localcloud_tests.support.identity import DECLARATION, declare

CLIENT = {"ClientId": "shop", "Audience": "shop", "GrantTypes": ["client_credentials"]}
BY_CODE = {**CLIENT, "GrantTypes": ["authorization_code"]}


def written(tmp_path: Path, document: Any, name: str = "one.json") -> Path:
    file = tmp_path / name
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return file


def test_without_a_file_there_are_no_clients() -> None:
    made = read_identity([])
    assert (made.clients, made.users, made.token_s, made.algorithm) == ({}, (), DEFAULT_TOKEN_S, "RS256")


def test_a_declaration_is_read(tmp_path: Path) -> None:
    made = read_identity([declare(tmp_path)])
    assert list(made.clients) == [client["ClientId"] for client in DECLARATION["Clients"]]
    assert made.clients["app"].public
    assert made.clients["cli"].any_subject
    assert (made.users, made.token_s, made.algorithm) == (("ada", "grace"), 600, "ES256")


def test_a_later_file_is_laid_over_an_earlier_one(tmp_path: Path) -> None:
    later = {
        "Clients": [{**CLIENT, "ClientId": "cli", "Scopes": ["all"]}],
        "Users": ["linus"],
        "RefreshTokenSeconds": 9,
    }
    made = read_identity([declare(tmp_path), written(tmp_path, later)])
    assert made.clients["cli"].scopes == ("all",)
    assert len(made.clients) == 4
    assert made.users == ("ada", "grace", "linus")
    assert (made.token_s, made.refresh_s) == (600, 9)


@pytest.mark.parametrize(
    ("client", "said"),
    [
        ({**CLIENT, "GrantTypes": []}, "GrantTypes is empty"),
        ({**CLIENT, "GrantTypes": ["password"]}, "Invalid enum value 'password'"),
        ({**CLIENT, "ClientId": "../keys"}, "ClientId"),
        ({**CLIENT, "ClientId": ""}, "ClientId"),
        ({**CLIENT, "ClientId": "shop\n"}, "ClientId"),
        ({**CLIENT, "Audience": ""}, "Audience"),
        ({**CLIENT, "Scopes": ["a b"]}, "Scopes"),
        ({**CLIENT, "Scopes": ["a\n"]}, "Scopes"),
        ({**CLIENT, "Scopes": ['"']}, "Scopes"),
        ({**CLIENT, "Sceret": "x"}, "Sceret"),
        ({**CLIENT, "Public": True}, "a client with a secret only"),
        ({**CLIENT, "GrantTypes": ["client_credentials", "refresh_token"]}, "authorization_code with it"),
        ({**BY_CODE, "AnySubject": True, "RedirectUris": ["http://a/"]}, "with client_credentials only"),
        ({**BY_CODE, "Public": True, "Secret": "x", "RedirectUris": ["http://a/"]}, "one of them"),
        (BY_CODE, "RedirectUris is empty"),
        ({**BY_CODE, "RedirectUris": ["/signed-in"]}, "'/signed-in'"),
        ({**BY_CODE, "RedirectUris": ["http://a/#b"]}, "without fragment"),
        ({**BY_CODE, "RedirectUris": ["javascript:alert(1)"]}, "absolute http"),
        ({**BY_CODE, "RedirectUris": ["http://[a/"]}, "absolute http"),
        ({**BY_CODE, "RedirectUris": ["http://user@a/"]}, "absolute http"),
        ({**BY_CODE, "RedirectUris": ["http://:word@a/"]}, "absolute http"),
        ({**BY_CODE, "RedirectUris": ["http://a/\r\nX: y"]}, "absolute http"),
    ],
)
def test_a_client_that_cannot_be_is_named(tmp_path: Path, client: dict[str, Any], said: str) -> None:
    file = written(tmp_path, {"Clients": [client]})
    with pytest.raises(ConfigError, match=str(file)) as raised:
        read_identity([file])
    assert said in str(raised.value)


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "{",
        '{"Users": ["a b"]}',
        '{"Users": ["ada\\n"]}',
        '{"ManagedIdentities": [{"Name": "shop\\n"}]}',
        '{"AccessTokenSeconds": 0}',
        "\ud800",
    ],
)
def test_what_is_no_declaration_is_refused(tmp_path: Path, document: str) -> None:
    file = tmp_path / "one.json"
    file.write_bytes(document.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigError, match="expected a declaration of clients"):
        read_identity([file])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json: No such file"):
        read_identity([tmp_path / "none.json"])
