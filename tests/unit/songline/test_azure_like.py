"""The environment of `songline up --like-azure`: what Azure gives a process, and no key."""

import os
import stat
from pathlib import Path

import pytest

from localcloud.entra.roles import messaging_rights, roles_at
from localcloud.identity.config import read_identity
from localcloud.sas import Right
from songline.cloud.settings import (
    SERVICEBUS_CERTIFICATE,
    read_blobs,
    read_cosmos,
    read_eventgrid,
    read_eventhubs,
    read_servicebus,
)
from songline.commands.up import MODE, PORTS, environment, services
from songline.deployment.access import EVERYTHING, PROCESSES
from songline.identity.settings import ISSUER
from songline.processes import environment as settings
from songline.processes.azure_like import KEYED, TOLD, azure_environment
from songline.processes.cloud_keys import CloudKeys
from songline.processes.entities import CONTAINERS
from songline.processes.local_eventgrid import EVENTGRID_PORT
from songline.processes.managed_identity import (
    CLIENT,
    COMMANDS,
    HEADER,
    IDENTITIES_FILE,
    OTHER_SIGN_INS,
    VARIABLES,
    client_ids,
    write_identities,
)
from songline.schemas.channels import DATABASE, HUBS, MUSIC_EVENTS, NOW_PLAYING, SONG_COMMANDS

STORE = "Cosmos DB Built-in Data "
KEYS = CloudKeys(sas="a-sas-key", cosmos="YS1jb3Ntb3Mta2V5", blob="YS1ibG9iLWtleQ==", control="a-control-key")


def made(data: Path, **inherited: str) -> dict[str, str]:
    ports = {option: 20_000 + number for number, option in enumerate(PORTS)}
    environ = environment(inherited, data, ports, 50.0, KEYS)
    return azure_environment(environ, data, environ[ISSUER]) | {MODE: "--like-azure"}


def test_no_value_holds_a_key(tmp_path: Path) -> None:
    environ = made(tmp_path, AZURE_COSMOS_CONNECTIONSTRING="AccountEndpoint=http://a;AccountKey=inherited-key")
    held = "\n".join(environ.values())
    assert not any(key in held for key in (KEYS.sas, KEYS.cosmos, KEYS.blob, KEYS.control, "inherited-key"))
    assert not set(KEYED) & set(environ)
    assert "AccountKey" not in held
    assert "SharedAccessKey" not in held


def test_a_sign_in_of_the_shell_is_nobody_here(tmp_path: Path) -> None:
    shell = dict.fromkeys((*OTHER_SIGN_INS, *VARIABLES), "of another system")
    environ = made(tmp_path, **shell)
    assert "of another system" not in environ.values()


def test_settings_are_those_of_azure_on_the_ports_of_this_machine(tmp_path: Path) -> None:
    environ = made(tmp_path)
    hubs, bus = read_eventhubs(environ), read_servicebus(environ)
    assert (hubs.connection, hubs.plaintext, hubs.port) == (None, False, int(environ["SONGLINE_EVENTHUBS_PORT"]))
    assert hubs.amqp_options == {"custom_endpoint_address": f"sb://{hubs.address}"}
    assert (bus.connection, bus.plaintext, bus.certificate) == (None, False, environ.get(SERVICEBUS_CERTIFICATE))
    cosmos, blobs = read_cosmos(environ), read_blobs(environ)
    assert (cosmos.key, blobs.connection) == (None, None)
    authority = str(tmp_path.resolve() / "tls" / "authority.pem")
    assert {part.authorities for part in (hubs, bus, cosmos, blobs)} == {authority}
    # Checkpoints are named so, and go on.
    keyed = environment({}, tmp_path, {option: 20_000 + number for number, option in enumerate(PORTS)}, 50.0, KEYS)
    assert read_eventhubs(keyed).address == hubs.address


def test_the_topic_is_reached_as_azures_where_there_is_one(tmp_path: Path) -> None:
    topic = read_eventgrid(made(tmp_path, **{EVENTGRID_PORT: "5304"}))
    assert (topic.endpoint, topic.key) == ("https://127.0.0.1:5304/api/events", None)
    assert topic.authorities == read_eventhubs(made(tmp_path)).authorities


@pytest.mark.parametrize("wish", ["on", "off"])
def test_websockets_are_asked_for_by_the_caller(tmp_path: Path, wish: str) -> None:
    environ = made(tmp_path, SONGLINE_AMQP_WEBSOCKETS=wish)
    assert read_eventhubs(environ).websockets is read_servicebus(environ).websockets is (wish == "on")


def test_every_process_has_an_identity_of_its_own(tmp_path: Path) -> None:
    write_identities(tmp_path)
    declared = read_identity([tmp_path / IDENTITIES_FILE]).managed_identities
    ids = client_ids()
    assert {f"songline-{name}": client for name, client in ids.items()} == {
        name: identity.client_id for name, identity in declared.items()
    }
    environ = made(tmp_path)
    named = {name: service.environ.get(CLIENT) for name, service in services(environ).items()}
    assert {name for name, client in named.items() if client is None} == {"localcloud", "issuer"}
    assert {name: client for name, client in named.items() if client} == {
        name: client for name, client in ids.items() if name != COMMANDS
    }
    assert not any(service.environ for service in services({**environ, MODE: ""}).values())


def test_identities_have_the_roles_that_bicep_assigns(tmp_path: Path) -> None:
    write_identities(tmp_path)
    declared = read_identity([tmp_path / IDENTITIES_FILE]).managed_identities
    for name, access in PROCESSES.items():
        roles = declared[f"songline-{name}"].roles
        for container in (one.name for one in CONTAINERS):
            right = access.containers.get(container) or access.containers.get(EVERYTHING)
            for place in (f"dbs/{DATABASE}/colls/{container}", f"dbs/{DATABASE}/colls/{container}-v2"):
                found = {one.removeprefix(STORE) for one in roles_at(roles, place) if one.startswith(STORE)}
                assert found == ({right.capitalize()} if right else set()), (name, place)
        for hub in HUBS:
            rights = {*access.hubs.get(hub, ()), *access.hubs.get(EVERYTHING, ())}
            wanted = {{"sender": Right.SEND, "receiver": Right.LISTEN}[right] for right in rights}
            assert messaging_rights("Event Hubs", roles, f"{hub}/Partitions/0") == wanted
        bus = {right for rights in access.queues.values() for right in rights}
        wanted = {{"sender": Right.SEND, "receiver": Right.LISTEN}[right] for right in bus}
        assert messaging_rights("Service Bus", roles, SONG_COMMANDS) == wanted
    for hub in (MUSIC_EVENTS, NOW_PLAYING):
        assert messaging_rights("Event Hubs", declared["songline-simulator"].roles, hub) == {Right.SEND}


def test_the_header_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    first = made(tmp_path)[HEADER]
    assert made(tmp_path)[HEADER] == first
    file = tmp_path / "identity" / "managed-identity-header"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_second_terminal_acts_as_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = made(tmp_path)
    settings.save(tmp_path, {name: environ[name] for name in TOLD})
    for name in VARIABLES:
        # So that what is loaded is taken back after the test.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    loaded = settings.load({settings.DATA: str(tmp_path)})
    assert loaded[CLIENT] == os.environ[CLIENT] == client_ids()[COMMANDS]
    assert os.environ[HEADER] == environ[HEADER]
    assert read_eventhubs(loaded).connection is None
