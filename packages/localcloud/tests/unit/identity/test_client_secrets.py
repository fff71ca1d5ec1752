"""Secrets of clients, in files of their own."""

from pathlib import Path

import pytest

from localcloud.identity.client_secrets import ClientSecrets
from localcloud.identity.config import ClientConfig
from localcloud.identity.errors import IdentityStateError


def clients(*names: str) -> dict[str, ClientConfig]:
    return {name: ClientConfig(name, "shop", ("client_credentials",)) for name in names}


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe"])
def test_a_secret_that_was_lost_is_named_and_no_empty_one_fits(tmp_path: Path, content: bytes) -> None:
    ClientSecrets(tmp_path, clients("cli"))
    (tmp_path / "cli").write_bytes(content)
    with pytest.raises(IdentityStateError, match=r"cli holds no secret.*delete it"):
        ClientSecrets(tmp_path, clients("cli"))


@pytest.mark.parametrize("names", [("a.new", "a", "a.b"), ("a", "a.new"), ("new", "a.new.new", "a.new")])
def test_no_client_s_secret_is_written_over_another_s(tmp_path: Path, names: tuple[str, ...]) -> None:
    ClientSecrets(tmp_path, clients(*names))
    kept = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert sorted(kept) == sorted(names)
    again = ClientSecrets(tmp_path, clients(*names))
    assert all(again.fits(name, kept[name]) for name in names)
    assert len(set(kept.values())) == len(names)
