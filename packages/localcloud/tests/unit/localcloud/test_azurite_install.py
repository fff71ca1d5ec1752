"""Where Azurite is looked for, and what is said where something is missing."""

from pathlib import Path

import pytest

from localcloud import azurite_install, node, user_cache


def test_a_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "named"))
    assert user_cache.folder() == tmp_path / "named" / "localcloud"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert user_cache.folder() == tmp_path / "home" / ".cache" / "localcloud"


def test_each_lock_file_has_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folders = []
    for number in range(2):
        here = tmp_path / f"package{number}"
        here.mkdir()
        (here / "package-lock.json").write_text(f'{{"lockfileVersion": {number}}}')
        monkeypatch.setattr(azurite_install, "HERE", here)
        folders.append(azurite_install.folder())
    assert len(set(folders)) == 2
    assert {folder.parent for folder in folders} == {tmp_path / "cache" / "localcloud"}
    (folders[1] / "node_modules" / "azurite").mkdir(parents=True)
    assert azurite_install.install() == folders[1]  # nothing is left to do


def test_a_checkout_has_it_beside_the_lock_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "node_modules" / "azurite").mkdir(parents=True)
    monkeypatch.setattr(azurite_install, "HERE", tmp_path)
    assert azurite_install.folder() == tmp_path


@pytest.mark.parametrize("old", [None, "18.0", "22.1"])
def test_what_is_missing_is_named_with_the_command_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, old: str | None
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(node, "PACKAGE", "no_such_package")
    if old:
        (tmp_path / "node").write_text(f"#!/bin/sh\necho v{old}.0\n")
        (tmp_path / "node").chmod(0o755)
    with pytest.raises(azurite_install.AzuriteMissingError) as caught:
        azurite_install.find()
    seen = f"Node {old} at {tmp_path}/node" if old else "no node on PATH"
    assert str(caught.value) == (
        f"Blob Storage needs Node: saw {seen}, expected Node 22.2 or newer; `localcloud install-blobs` brings one"
    )
