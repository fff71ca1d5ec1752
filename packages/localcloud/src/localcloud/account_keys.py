"""The keys of a localcloud's services: those that Microsoft publishes with its emulators, or its own."""

import base64
import fcntl
import os
import secrets
from pathlib import Path

import msgspec

from localcloud.private_file import write_private
from localcloud.published_keys import BLOB_KEY, COSMOS_KEY, SAS_KEY
from localcloud.unreadable import UNREADABLE

FILE = "keys.json"


class AccountKeysError(Exception):
    """The file of keys is damaged. The message names it and says what to do."""


class AccountKeys(msgspec.Struct, frozen=True):
    """One key for each service; by default the published ones.

    `sas` is that of Event Hubs, Kafka and Service Bus; `cosmos` and `blob` are base64. `control` is asked for at the
    control endpoint; None: it takes orders of everybody on this machine.
    """

    sas: str = SAS_KEY
    cosmos: str = COSMOS_KEY
    blob: str = BLOB_KEY
    control: str | None = None

    def __repr__(self) -> str:
        return "AccountKeys()"


DEV_KEYS = AccountKeys()


class _KeyFile(msgspec.Struct):
    """The form of the file. Every key is there: one that is left out would be a published one."""

    sas: str
    cosmos: str
    blob: str
    control: str


def read_keys(data: Path) -> AccountKeys | None:
    """The keys of the data folder; None where it has none of its own. Raises AccountKeysError and OSError."""
    file = data / FILE
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    try:
        found = msgspec.json.decode(content, type=_KeyFile)
        for key in (found.cosmos, found.blob):
            base64.b64decode(key, validate=True)
    except (*UNREADABLE, ValueError):
        # Not with the decoder's words, which may show a piece of a key.
        found = _KeyFile("", "", "", "")
    if not all((found.sas, found.cosmos, found.blob, found.control)) or ";" in found.sas:
        raise AccountKeysError(
            f"{file} holds no keys: expected JSON with the texts sas, cosmos, blob (base64, both) and control. "
            "Mend it, or delete it: new keys are made by --own-keys then"
        )
    return AccountKeys(found.sas, found.cosmos, found.blob, found.control)


def make_keys(data: Path) -> AccountKeys:
    """The keys of the data folder, made where it has none. Raises AccountKeysError and OSError."""
    folder = os.open(data, os.O_RDONLY)
    try:
        # Two that start at once would each have keys of their own.
        fcntl.flock(folder, fcntl.LOCK_EX)
        found = read_keys(data)
        if found is None:
            found = AccountKeys(_random(32), _random(64), _random(64), _random(32))
            write_private(data / FILE, msgspec.json.encode(found) + b"\n")
        return found
    finally:
        os.close(folder)


def _random(size_bytes: int) -> str:
    return base64.b64encode(secrets.token_bytes(size_bytes)).decode()
