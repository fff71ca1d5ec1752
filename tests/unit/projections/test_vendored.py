"""What the dashboard has of others is what the lock names, byte for byte."""

import hashlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
VENDOR = ROOT / "projections" / "dashboard" / "vendor"
ORIGIN = json.loads((ROOT / "infra" / "dashboard" / "origin.json").read_text())
LOCK = json.loads((ROOT / "infra" / "dashboard" / "package-lock.json").read_text())["packages"]


@pytest.mark.parametrize("package", ORIGIN)
def test_the_files_are_of_the_locked_version(package: str) -> None:
    origin, locked = ORIGIN[package], LOCK[f"node_modules/{package}"]
    assert (origin["version"], origin["integrity"]) == (locked["version"], locked["integrity"]), "run `make vendor`"
    found = {name: hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() for name in origin["files"]}
    assert found == origin["files"], "run `make vendor`: these files are not those of the package"


def test_nothing_else_is_vendored() -> None:
    named = {name for origin in ORIGIN.values() for name in origin["files"]}
    assert {path.name for path in VENDOR.iterdir()} == named
