"""`python -m songline.deployment.prepare` makes the containers that an emulator lacks: on Azure, Bicep makes them."""

import asyncio
import logging
import os
import time
from collections.abc import Mapping

from azure.core.exceptions import AzureError

from songline.cloud import blobs, cosmos
from songline.cloud.logs import log_to_stderr
from songline.cloud.settings import SettingError, read_blobs, read_cosmos
from songline.processes.entities import CONTAINERS
from songline.schemas.channels import BLOB_CONTAINERS, DATABASE

PATIENCE_S = 120.0
PAUSE_S = 2.0

log = logging.getLogger(__name__)


async def ensure_containers(environ: Mapping[str, str]) -> None:
    """Make the containers of Cosmos DB and Blob Storage that are missing. Raises AzureError and SettingError."""
    async with cosmos.client(read_cosmos(environ)) as client:
        await cosmos.ensure(client, DATABASE, CONTAINERS)
    async with blobs.client(read_blobs(environ)) as storage:
        await blobs.ensure(storage, BLOB_CONTAINERS)


def main() -> None:
    """Make them; an emulator may need a while, so it is tried for PATIENCE_S seconds."""
    log_to_stderr(logging.WARNING)
    logging.getLogger("azure").setLevel(logging.ERROR)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return asyncio.run(ensure_containers(os.environ))
        except SettingError as error:
            raise SystemExit(f"prepare: {error}") from None
        except AzureError as error:
            if time.monotonic() > deadline:
                raise SystemExit(f"prepare: the stores don't answer: {error}") from None
            log.warning("tries again: %s", error)
            time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()
