"""The key that seals the texts of tokens for players that send a salted digest of them."""

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from songline.api.session.sealing import KEY_BYTES, Sealer
from songline.api.session.session_key import decoded_keys
from songline.cloud.settings import SettingError
from songline.processes.private_file import private_draft

TOKEN_KEY = "SONGLINE_TOKEN_KEY"  # noqa: S105 - the name of a setting
TOKEN_KEY_FILE = "SONGLINE_TOKEN_KEY_FILE"  # noqa: S105 - the name of a setting
KEY_FILE = "token.key"
"""The file in the data folder of `songline up`."""
_EXPECTED = f"{KEY_BYTES} random bytes in base64url, several with commas between: the first one seals, all open"


def read_sealer(environ: Mapping[str, str]) -> Sealer | None:
    """What seals and opens; None where there is no key, so that no token can be for salted digests. Raises
    SettingError."""
    if text := environ.get(TOKEN_KEY, ""):
        return Sealer(decoded_keys(TOKEN_KEY, text, "what is no such key", _EXPECTED))
    if not environ.get(TOKEN_KEY_FILE):
        return None
    file = Path(environ[TOKEN_KEY_FILE])
    try:
        found = file.read_text("ascii", "replace")
    except OSError as error:
        raise SettingError(TOKEN_KEY_FILE, f"{str(file)!r}: {error.strerror}", f"a file with {_EXPECTED}") from None
    return Sealer(decoded_keys(TOKEN_KEY_FILE, found, f"{str(file)!r}, which holds no key", _EXPECTED))


def make_key_file(file: Path) -> None:
    """Write a new key, unless there is one. Raises OSError."""
    if file.exists():
        return
    key = f"{secrets.token_urlsafe(KEY_BYTES)}\n".encode()
    # A link fails where the file is there; a rename would take another process's key away.
    with private_draft(file, key) as draft, suppress(FileExistsError):
        os.link(draft, file)
