"""Settings of the system that `songline up` runs, so that a second terminal finds it.

`songline up` writes them to `DATA/songline.env` (readable by its owner only). Every other command reads the process's
environment first, and that file for the variables that are missing there. Where the environment says where a service
is, it is that of another system: the rest of the file would make a third one, in which a connection string wins.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from songline.cloud.settings import (
    BLOB_CONNECTION,
    BLOB_ENDPOINT,
    COSMOS_CONNECTION,
    COSMOS_ENDPOINT,
    EVENTGRID_ENDPOINT,
    EVENTHUB_CONNECTION,
    EVENTHUB_NAMESPACE,
    SERVICEBUS_CONNECTION,
    SERVICEBUS_NAMESPACE,
)
from songline.processes.managed_identity import act_as_declared
from songline.processes.private_file import write_private

DATA = "SONGLINE_DATA"
API = "SONGLINE_API"
TRENDING = "SONGLINE_TRENDING"
CATALOG = "SONGLINE_CATALOG"
LIBRARY = "SONGLINE_LIBRARY"
INGESTION = "SONGLINE_INGESTION"
OUTBOX = "SONGLINE_OUTBOX"
DEFAULT_DATA = Path(".local")

WORKERS = {"trending": TRENDING, "catalog": CATALOG, "library": LIBRARY, "ingestion": INGESTION}
"""The variable that holds the base URL of a worker's health endpoints, by worker."""

PLACES = (
    EVENTHUB_CONNECTION,
    EVENTHUB_NAMESPACE,
    SERVICEBUS_CONNECTION,
    SERVICEBUS_NAMESPACE,
    COSMOS_CONNECTION,
    COSMOS_ENDPOINT,
    BLOB_CONNECTION,
    BLOB_ENDPOINT,
    EVENTGRID_ENDPOINT,
)
"""The settings that say where a service is, as Azure and `azd env get-values` name them."""


def save(data: Path, settings: Mapping[str, str]) -> Path:
    """Write `settings` for other terminals and return the path. The file replaces an older one atomically."""
    return write_private(_file(data), "".join(f"{name}={value}\n" for name, value in settings.items()).encode())


def load(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The process's environment, merged over the settings of the system that runs on its data folder, if one does and
    the environment names no other one."""
    path = _file(data_folder(environ))
    if any(environ.get(name) for name in PLACES) or not path.exists():
        return dict(environ)
    lines = path.read_text(encoding="utf-8").splitlines()
    saved = dict(line.split("=", 1) for line in lines if line)
    act_as_declared(saved)
    return {**saved, **environ}


def data_folder(environ: Mapping[str, str]) -> Path:
    """The folder that `SONGLINE_DATA` names; the default if it is not set or empty."""
    return Path(environ.get(DATA) or DEFAULT_DATA)


def _file(data: Path) -> Path:
    return data / "songline.env"
