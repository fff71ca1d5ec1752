"""Every place that code names is declared: what is not would be missing on Azure."""

import ast
from pathlib import Path

from localcloud.config import read_hubs
from songline.deployment.access import EVERYTHING, PROCESSES
from songline.processes import emulator_files
from songline.processes.entities import CONTAINERS
from songline.schemas import channels

ROOT = Path(__file__).parents[3]


def test_every_container_that_the_code_defines_is_declared_and_somebody_s() -> None:
    defined = {
        getattr(channels, call.args[0].id)
        for package in ("broadcasting", "cloud", "processors", "producers", "projections", "songline", "schemas")
        for file in (ROOT / package).rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "Container"
        and call.args
        and isinstance(call.args[0], ast.Name)
    }
    assert defined == {container.name for container in CONTAINERS}
    assert len(defined) >= 13
    named = {name for access in PROCESSES.values() for name in access.containers}
    assert named - {EVERYTHING} <= defined
    # An erasure and an import are the ingestion worker's, who may write all of them.
    whole = [name for name, access in PROCESSES.items() if access.containers.get(EVERYTHING) == "contributor"]
    assert whole == ["ingestion"]
    assert defined - named <= {channels.NAMES}


def test_every_name_of_a_place_is_declared() -> None:
    """A hub, a group or a blob container that code names and nobody declares is not there on Azure."""
    names = {name: value for name, value in vars(channels).items() if name.isupper() and isinstance(value, str)}
    assert {value for name, value in names.items() if name.endswith("_BLOBS")} == set(channels.BLOB_CONTAINERS)
    declared = {
        *channels.HUBS,
        *channels.BLOB_CONTAINERS,
        *(container.name for container in CONTAINERS),
        *(group for hub in read_hubs(emulator_files.files("eventhubs")) for group in hub.consumer_groups),
        channels.SONG_COMMANDS,
        channels.DATABASE,
        # What a former release had, and only migrations read.
        channels.LIBRARY,
    }
    assert set(names.values()) == declared
