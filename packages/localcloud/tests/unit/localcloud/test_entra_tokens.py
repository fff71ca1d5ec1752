"""Tokens of managed identities: what is signed here is taken, for its audience and time alone; roles become rights."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.entra.access import LocalAuthDisabledError, NamespaceAccess
from localcloud.entra.audiences import is_cosmos_db, is_event_hubs, is_known, is_service_bus
from localcloud.entra.identities import ManagedIdentity
from localcloud.entra.roles import ROLES, AssignedRole, Role, RoleAssignment, messaging_rights, roles_at
from localcloud.entra.tokens import ISSUER, SKEW_S, EntraTokens
from localcloud.identity.signing_keys import SigningKeys, new_key
from localcloud.identity.token_claims import signed
from localcloud.sas import (
    ALL_RIGHTS,
    CredentialError,
    ExpiredTokenError,
    Keys,
    MalformedTokenError,
    OutOfScopeError,
    Right,
    WrongSignatureError,
)

NOW_S = 1_800_000_000.0
OWNER = ManagedIdentity("shop-api", ("Azure Event Hubs Data Owner", "Azure Service Bus Data Sender"))
HUBS = "https://eventhubs.azure.net/"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> SigningKeys:
    return SigningKeys(tmp_path_factory.mktemp("keys") / "keys.json", "ES256")


@pytest.fixture(scope="module")
def tokens(keys: SigningKeys) -> EntraTokens:
    return EntraTokens({OWNER.name: OWNER}, keys.current, keys.public, token_s=60)


def claims_of(token: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return found


def test_a_token_is_taken_until_the_second_of_its_end(tokens: EntraTokens) -> None:
    token, expires_s = tokens.issue(OWNER, HUBS, NOW_S)
    assert expires_s == NOW_S + 60
    for now_s in (NOW_S - SKEW_S, NOW_S, NOW_S + 59.9):
        found = tokens.check(token, is_event_hubs, now_s)
        assert (found.principal_id, found.roles, found.expires_s) == (OWNER.principal_id, OWNER.roles, NOW_S + 60)
    for now_s in (NOW_S + 60, NOW_S + 3_600, NOW_S - SKEW_S - 1):
        with pytest.raises(ExpiredTokenError):
            tokens.check(token, is_event_hubs, now_s)


def test_a_token_is_for_one_service(tokens: EntraTokens) -> None:
    token, _ = tokens.issue(OWNER, HUBS, NOW_S)
    for other in (is_service_bus, is_cosmos_db):
        with pytest.raises(OutOfScopeError, match=r"eventhubs\.azure\.net"):
            tokens.check(token, other, NOW_S)


@pytest.mark.parametrize("change", [{"iss": "http://127.0.0.1:5302"}, {"aud": ["a"]}, {"oid": None}, {"exp": "soon"}])
def test_other_tokens_of_our_keys_are_not_taken(
    tokens: EntraTokens, keys: SigningKeys, change: dict[str, object]
) -> None:
    claims = {**claims_of(tokens.issue(OWNER, HUBS, NOW_S)[0]), **change}
    with pytest.raises(CredentialError):
        tokens.check(signed(claims, "JWT", keys.current(NOW_S)), is_event_hubs, NOW_S)


def test_a_token_of_another_key_or_of_none_is_not_taken(tokens: EntraTokens) -> None:
    token, _ = tokens.issue(OWNER, HUBS, NOW_S)
    header = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    stranger = signed(claims_of(token), "JWT", new_key("ES256", NOW_S))
    for forged in (stranger, f"{header}.{token.split('.')[1]}.", token[:-2] + ("AA" if token[-2:] != "AA" else "BB")):
        with pytest.raises(WrongSignatureError):
            tokens.check(forged, is_event_hubs, NOW_S)


@given(st.text(max_size=60) | st.from_regex(r"[A-Za-z0-9_-]{0,20}\.[A-Za-z0-9_-]{0,20}\.[A-Za-z0-9_-]{0,20}"))
def test_no_text_is_a_token(tokens: EntraTokens, text: str) -> None:
    with pytest.raises((MalformedTokenError, WrongSignatureError)):
        tokens.check(text, is_event_hubs, NOW_S)


def test_a_token_is_good_after_a_new_key_signs(tokens: EntraTokens, keys: SigningKeys) -> None:
    token, _ = tokens.issue(OWNER, "https://eventhubs.azure.net", NOW_S)
    keys.rotate(NOW_S)
    assert tokens.check(token, is_event_hubs, NOW_S).roles == OWNER.roles


def test_an_identity_that_is_not_declared_any_more_has_no_role(tokens: EntraTokens) -> None:
    gone = ManagedIdentity("gone", ("Azure Event Hubs Data Owner",))
    assert tokens.check(tokens.issue(gone, HUBS, NOW_S)[0], is_event_hubs, NOW_S).roles == ()


def test_ids_are_those_of_the_name() -> None:
    again = ManagedIdentity("shop-api")
    assert (again.client_id, again.principal_id) == (OWNER.client_id, OWNER.principal_id)
    assert len({again.client_id, again.principal_id, ManagedIdentity("shop").client_id}) == 3


@pytest.mark.parametrize(
    ("roles", "hubs", "bus"),
    [
        (("Azure Event Hubs Data Owner",), ALL_RIGHTS, frozenset()),
        (("Azure Event Hubs Data Sender", "Azure Service Bus Data Receiver"), {Right.SEND}, {Right.LISTEN}),
        (("Azure Event Hubs Data Sender", "Azure Event Hubs Data Receiver"), {Right.SEND, Right.LISTEN}, frozenset()),
        (tuple(role for role in ROLES if not role.startswith("Azure ")), frozenset(), frozenset()),
        ((), frozenset(), frozenset()),
    ],
)
def test_roles_become_rights(roles: Any, hubs: frozenset[Right], bus: frozenset[Right]) -> None:
    assert messaging_rights("Event Hubs", roles, "orders") == hubs
    assert messaging_rights("Service Bus", roles, "orders") == bus


PARTS: tuple[AssignedRole, ...] = (
    RoleAssignment("Azure Event Hubs Data Sender", "Orders"),
    RoleAssignment("Azure Event Hubs Data Receiver", "orders-v*"),
    RoleAssignment("Cosmos DB Built-in Data Reader", "/dbs/shop/colls/orders"),
    "Azure Service Bus Data Sender",
)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("orders", {Right.SEND}),
        ("ORDERS/ConsumerGroups/$Default/Partitions/0", {Right.SEND}),
        ("orders/$management", {Right.SEND}),
        ("orders-v2", {Right.LISTEN}),
        ("orders2", set()),
        ("order", set()),
        ("", set()),
    ],
)
def test_a_role_counts_in_its_part_alone(path: str, found: set[Right]) -> None:
    assert messaging_rights("Event Hubs", PARTS, path) == found
    assert messaging_rights("Service Bus", PARTS, path) == {Right.SEND}


def test_a_role_in_a_container_counts_below_it() -> None:
    reader: Role = "Cosmos DB Built-in Data Reader"
    counts = {
        place for place in ("dbs/shop", "dbs/shop/colls/orders", "dbs/shop/colls/o") if reader in roles_at(PARTS, place)
    }
    assert counts == {"dbs/shop/colls/orders"}


@pytest.mark.parametrize("check", [is_event_hubs, is_service_bus, is_cosmos_db])
def test_a_service_takes_its_own_hosts(check: Any) -> None:
    assert all(map(check, ("https://127.0.0.1", "https://localhost/", "https://127.0.0.1:5672", "https://[::1]")))
    assert not any(
        map(check, ("http://127.0.0.1", "https://127.0.0.1/more", "https://storage.azure.com", "", "https://["))
    )


def test_resources_are_known_that_services_have() -> None:
    known = (HUBS, "https://storage.azure.com", "https://music.servicebus.windows.net", "https://127.0.0.1:5672")
    assert all(map(is_known, known))
    assert not any(
        map(is_known, ("https://graph.microsoft.com", "https://evil.example/.servicebus.windows.net", "api"))
    )
    assert is_event_hubs("https://music.servicebus.windows.net")
    assert is_service_bus("https://music.servicebus.windows.net/")
    assert is_cosmos_db("https://music.documents.azure.com")
    assert not is_cosmos_db("https://music.servicebus.windows.net")


def access(tokens: EntraTokens, *, local_auth: bool) -> NamespaceAccess:
    return NamespaceAccess({"root": "key"}, tokens, "Event Hubs", is_event_hubs, local_auth=local_auth)


def test_a_namespace_opens_by_key_and_by_token(tokens: EntraTokens) -> None:
    token, _ = tokens.issue(OWNER, HUBS, NOW_S)
    both = access(tokens, local_auth=True)
    key = Keys({"root": "key"}).sign("root", "sb://127.0.0.1/orders", int(NOW_S) + 60)
    assert both.check_token(key, "orders", NOW_S).rights_at("orders") == ALL_RIGHTS
    for shown in (token, f"Bearer {token}"):
        grant = both.check_token(shown, "orders", NOW_S)
        assert (grant.rights_at("orders"), grant.expires, grant.covers("orders/Partitions/0")) == (
            ALL_RIGHTS,
            NOW_S + 60,
            True,
        )
    assert both.check_connection_string("Endpoint=sb://a;SharedAccessKeyName=root;SharedAccessKey=key").scope == ""


def test_keys_open_nothing_where_they_are_turned_off(tokens: EntraTokens) -> None:
    by_token = access(tokens, local_auth=False)
    key = Keys({"root": "key"}).sign("root", "sb://127.0.0.1/orders", int(NOW_S) + 60)
    with pytest.raises(LocalAuthDisabledError):
        by_token.check_token(key, "orders", NOW_S)
    with pytest.raises(LocalAuthDisabledError):
        by_token.check_connection_string("Endpoint=sb://a;SharedAccessKeyName=root;SharedAccessKey=key")
    with pytest.raises(LocalAuthDisabledError):
        by_token.check_secret("root", "key")
    assert by_token.check_token(tokens.issue(OWNER, HUBS, NOW_S)[0], "orders", NOW_S).rights_at("orders") == ALL_RIGHTS


def test_the_issuer_is_one_that_azurite_takes(tmp_path: Path) -> None:
    assert ISSUER.startswith("https://sts.windows.net/")
