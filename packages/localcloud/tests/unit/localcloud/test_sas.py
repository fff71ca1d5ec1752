"""Tokens and connection strings, with tokens made by Azure's own SDK."""

import pytest
from azure.eventhub._client_base import EventHubSharedKeyCredential
from hypothesis import given
from hypothesis import strategies as st

from localcloud.sas import (
    ALL_RIGHTS,
    AccessRule,
    CredentialError,
    ExpiredTokenError,
    Keys,
    MalformedTokenError,
    OutOfScopeError,
    Right,
    UnknownKeyError,
    WrongSignatureError,
    resource_path,
)

KEYS = Keys({"reader": "s3cret", "other": "different"})
NAME = "RootManageSharedAccessKey"


def test_a_token_of_the_sdk_is_good_for_its_audience() -> None:
    token = EventHubSharedKeyCredential(NAME, "SAS_KEY_VALUE").get_token("sb://127.0.0.1:5672/Music-Events")
    grant = Keys().check_token(token.token, "music-events", token.expires_on - 1)
    assert (grant.scope, grant.expires) == ("music-events", token.expires_on)
    with pytest.raises(ExpiredTokenError):
        Keys().check_token(token.token, "music-events", token.expires_on)


@pytest.mark.parametrize(
    ("scope", "resource", "covered"),
    [
        ("sb://host/", "anything/at/all", True),
        ("sb://host/hub", "HUB/ConsumerGroups/$Default/Partitions/0", True),
        ("sb://host/hub/$management", "hub/$management", True),
        ("sb://host/hub/$management", "hub", False),
        ("sb://host/hub/$management", "other/$management", False),
        ("sb://host/hub", "hub2", False),
        ("sb://host/hub/consumergroups/a", "hub", False),
        ("sb://host/hub/consumergroups/a", "hub/consumergroups/ab", False),
    ],
)
def test_a_token_covers_its_path_and_what_is_below(scope: str, resource: str, covered: bool) -> None:
    token = KEYS.sign("reader", scope, 1000)
    if covered:
        KEYS.check_token(token, resource, 1)
    else:
        with pytest.raises(OutOfScopeError):
            KEYS.check_token(token, resource, 1)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (("skn=reader", "skn=nobody"), UnknownKeyError),
        (("skn=reader", "skn=other"), WrongSignatureError),
        (("se=1000", "se=2000"), WrongSignatureError),
        (("hub", "hub2"), WrongSignatureError),
        (("sig=", "sig=x"), WrongSignatureError),
        (("se=1000", "se=never"), MalformedTokenError),
        (("&se=1000", ""), MalformedTokenError),
        (("se=1000", "se=" + "9" * 5000), MalformedTokenError),
        (("SharedAccessSignature ", "Bearer "), MalformedTokenError),
    ],
)
def test_a_token_that_was_changed_is_refused(change: tuple[str, str], error: type[CredentialError]) -> None:
    token = KEYS.sign("reader", "sb://host/hub", 1000).replace(*change)
    with pytest.raises(error):
        KEYS.check_token(token, "hub", 1)


@given(st.text())
def test_no_text_is_a_token_by_chance(text: str) -> None:
    with pytest.raises(CredentialError):
        KEYS.check_token("SharedAccessSignature " + text, "hub", 1)


def test_a_connection_string_names_a_key_its_secret_and_perhaps_an_entity() -> None:
    text = "Endpoint=sb://h/;SharedAccessKeyName=reader;SharedAccessKey=s3cret"
    assert KEYS.check_connection_string(text).scope == ""
    assert KEYS.check_connection_string(text + ";EntityPath=Hub;").scope == "hub"
    with pytest.raises(WrongSignatureError):
        KEYS.check_connection_string(text + "x")
    with pytest.raises(UnknownKeyError):
        KEYS.check_connection_string(text.replace("reader", "nobody"))
    with pytest.raises(MalformedTokenError, match="sharedaccesskey"):
        KEYS.check_connection_string("Endpoint=sb://h/;SharedAccessKeyName=reader")


RULES = {
    "": {"senders": AccessRule(("send-1", "send-2"), frozenset({Right.SEND}))},
    "hub": {
        "readers": AccessRule(("read-1",), frozenset({Right.LISTEN})),
        "owners": AccessRule(("own-1",), frozenset({Right.MANAGE})),
    },
}
RULED = Keys({"reader": "s3cret"}, lambda path: RULES.get(path, {}))


@pytest.mark.parametrize("name", ["senders", "readers", "owners", "reader"])
def test_a_rule_gives_its_rights_at_its_entity(name: str) -> None:
    rights = {"senders": {Right.SEND}, "readers": {Right.LISTEN}}.get(name, ALL_RIGHTS)
    token = RULED.sign(name, "sb://host/Hub", 1000)
    grant = RULED.check_token(token, "hub/consumergroups/a", 1)
    assert grant.rights_at("hub") == rights
    assert not grant.covers("hub2")
    for audience in ("sb://host/", "sb://host/hub2"):
        if name in ("senders", "reader"):
            assert RULED.check_token(RULED.sign(name, audience, 1000), "hub2", 1).rights_at("hub2") == rights
        else:
            with pytest.raises(UnknownKeyError):
                RULED.sign(name, audience, 1000)
            with pytest.raises(UnknownKeyError):
                RULED.check_token(token.replace("Hub", "hub2"), "hub2", 1)


def test_either_key_of_a_rule_opens() -> None:
    second = Keys({"senders": "send-2"}).sign("senders", "sb://host/hub", 1000)
    assert RULED.check_token(second, "hub", 1).rights_at("hub") == {Right.SEND}
    text = "Endpoint=sb://h/;SharedAccessKeyName={};SharedAccessKey={};EntityPath={}"
    for key in ("send-1", "send-2"):
        assert RULED.check_connection_string(text.format("senders", key, "hub")).rights_at("hub") == {Right.SEND}
    with pytest.raises(WrongSignatureError):
        RULED.check_connection_string(text.format("senders", "send-3", "hub"))
    with pytest.raises(UnknownKeyError):
        RULED.check_connection_string(text.format("readers", "read-1", "hub2"))


def test_secrets_stay_out_of_sight() -> None:
    assert "s3cret" not in repr(KEYS)


@pytest.mark.parametrize(
    "audience",
    [
        "sb://ns.servicebus.windows.net/hub/ConsumerGroups/$Default",
        "sb://127.0.0.1:5672/hub/ConsumerGroups/$Default/",
        "SB://NS.servicebus.windows.net/HUB/consumergroups/$default",
        "amqp://127.0.0.1:5672/hub/ConsumerGroups/$Default",
        "amqps://ns.servicebus.windows.net:5671/hub/ConsumerGroups/$Default",
        "http://ns.servicebus.windows.net/hub/ConsumerGroups/$Default",
        "https://ns.servicebus.windows.net:443//hub//ConsumerGroups/$Default",
        "sb://127.0.0.1/hub/ConsumerGroups/%24Default",
        "sb%3A%2F%2F127.0.0.1%2Fhub%2FConsumerGroups%2F%24Default",
        "sb%3a%2f%2f127.0.0.1%3a5672%2fhub%2fconsumergroups%2f%24default%2f",
        "ns.servicebus.windows.net/hub/ConsumerGroups/$Default",
        "127.0.0.1:5672/hub/ConsumerGroups/$Default",
        "/hub/ConsumerGroups/$Default",
        "hub/ConsumerGroups/$Default",
    ],
)
def test_every_form_of_an_audience_names_the_same_path(audience: str) -> None:
    assert resource_path(audience) == "hub/consumergroups/$default"
    token = KEYS.sign("reader", audience, 1000)
    KEYS.check_token(token, "hub/ConsumerGroups/$Default/Partitions/0", 1)
    for other in ("hub", "hub/ConsumerGroups/$Default2", "hub2/ConsumerGroups/$Default", "other", "$management"):
        with pytest.raises(OutOfScopeError):
            KEYS.check_token(token, other, 1)


@given(st.text("ab/%2F.:$ ", max_size=20))
def test_a_scope_opens_nothing_beside_its_path(scope: str) -> None:
    token = KEYS.sign("reader", f"sb://host/hub/{scope}", 1000)
    for other in ("other", "hub2", "hubb", "h"):
        with pytest.raises(OutOfScopeError):
            KEYS.check_token(token, other, 1)
