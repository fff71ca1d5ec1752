"""The keys of the sealed cookies: of a setting, or of a file that is made on the first start."""

import base64
import binascii
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from songline.api.session.sealing import KEY_BYTES
from songline.cloud.settings import SettingError
from songline.processes.environment import data_folder
from songline.processes.private_file import private_draft

SESSION_KEY = "SONGLINE_SESSION_KEY"
KEY_FILE = "session.key"
_EXPECTED = f"{KEY_BYTES} random bytes in base64url, several with commas between: the first one seals, all open"


def read_session_keys(environ: Mapping[str, str]) -> tuple[bytes, ...]:
    """The keys, which are made where there are none. Raises SettingError."""
    text = environ.get(SESSION_KEY, "")
    if text:
        return decoded_keys(SESSION_KEY, text, "what is no such key", _EXPECTED)
    file = data_folder(environ) / KEY_FILE
    try:
        if not file.exists():
            _make(file)
        found = file.read_text("ascii", "replace")
    except OSError as error:
        raise SettingError(SESSION_KEY, f"nothing, and {str(file)!r}: {error.strerror}", _EXPECTED) from None
    seen = f"nothing, and {str(file)!r}, which holds no key: delete it, and sign in again"
    return decoded_keys(SESSION_KEY, found, seen, _EXPECTED)


def decoded_keys(setting: str, text: str, seen: str, expected: str) -> tuple[bytes, ...]:
    """The keys in `text`, with commas between. Raises SettingError, with the words `seen` in place of the text: keys
    are secrets."""
    try:
        keys = tuple(
            base64.b64decode(one.strip() + "=" * (-len(one.strip()) % 4), b"-_", validate=True)
            for one in text.split(",")
        )
    except (binascii.Error, ValueError):
        keys = ()
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise SettingError(setting, seen, expected)
    return keys


def _make(file: Path) -> None:
    """Write a new key, unless another process has written one meanwhile. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    key = f"{secrets.token_urlsafe(KEY_BYTES)}\n".encode()
    # A link fails where the file is there; a rename would take the other process's key away.
    with private_draft(file, key) as draft, suppress(FileExistsError):
        os.link(draft, file)
