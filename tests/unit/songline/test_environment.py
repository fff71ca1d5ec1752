"""What a second terminal takes from `DATA/songline.env`, and whom it acts as."""

import os
from pathlib import Path

import pytest

from songline.processes.environment import DATA, PLACES, load, save
from songline.processes.managed_identity import CLIENT, COMMANDS, ENDPOINT, HEADER, OTHER_SIGN_INS, client_ids

SIGN_IN = {ENDPOINT: "http://here", HEADER: "a header", CLIENT: client_ids()[COMMANDS]}
KEPT = {"AZURE_EVENTHUB_CONNECTIONSTRING": "Endpoint=sb://here", "SONGLINE_API": "http://here", **SIGN_IN}


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell without any sign-in, as it was after the test."""
    for name in (*SIGN_IN, *OTHER_SIGN_INS):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_what_the_environment_lacks_is_taken_from_the_file(tmp_path: Path) -> None:
    save(tmp_path, KEPT)
    environ = {DATA: str(tmp_path), "SONGLINE_API": "http://there"}
    assert load(environ) == {**KEPT, **environ}
    assert {name: os.environ[name] for name in SIGN_IN} == SIGN_IN


@pytest.mark.parametrize("place", PLACES)
def test_an_environment_that_says_where_a_service_is_is_no_half_of_a_system(tmp_path: Path, place: str) -> None:
    """A connection string of the file would win over the host that Azure's environment names."""
    save(tmp_path, KEPT)
    environ = {DATA: str(tmp_path), place: "there"}
    assert load(environ) == environ
    assert not SIGN_IN.keys() & os.environ.keys(), "tokens are those of the system that is meant"
    assert load({**environ, place: ""}) == {**KEPT, **environ, place: ""}


def test_a_sign_in_to_azure_that_the_shell_has_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, KEPT)
    for name in (*SIGN_IN, *OTHER_SIGN_INS):
        monkeypatch.setenv(name, "of another system")
    load({DATA: str(tmp_path)})
    assert {name: os.environ[name] for name in SIGN_IN} == SIGN_IN
    assert not set(OTHER_SIGN_INS) & os.environ.keys()


def test_a_shell_that_names_an_identity_of_the_system_acts_as_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, KEPT)
    monkeypatch.setenv(CLIENT, client_ids()["api"])
    load({DATA: str(tmp_path)})
    assert os.environ[CLIENT] == client_ids()["api"]


def test_a_sign_in_stays_where_the_system_has_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, {name: value for name, value in KEPT.items() if name not in SIGN_IN})
    monkeypatch.setenv("AZURE_TENANT_ID", "of another system")
    load({DATA: str(tmp_path)})
    assert os.environ["AZURE_TENANT_ID"] == "of another system"
