"""The process of the read API: reads the settings and serves the application with uvicorn."""

import logging
import os
from collections.abc import Mapping

import click
import uvicorn

from songline.cloud.logs import log_to_stderr
from songline.cloud.settings import (
    BLOB_CONNECTION,
    BLOB_ENDPOINT,
    BlobSettings,
    SettingError,
    names_blobs,
    read_blobs,
    read_cosmos,
)
from songline.cloud.wrong_settings import read_settings
from songline.projections.api import create
from songline.projections.http.front import AllowedNames

log = logging.getLogger(__name__)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", default=8000, help="Port to listen on; 0 takes a free one.")
def main(host: str, port: int) -> None:
    """Serve charts, songs and ingestions over HTTP. Settings come from the environment: see docs/operations.md."""
    log_to_stderr(logging.WARNING)
    logging.getLogger("uvicorn").setLevel(logging.INFO)
    try:
        settings, storage, front = read_settings(
            lambda environ: (read_cosmos(environ), _storage(environ), AllowedNames.read(environ)), os.environ
        )
    except SettingError as error:
        raise SystemExit(f"projections: {error}") from None
    uvicorn.run(
        create(settings, storage, front=front),
        host=host,
        port=port,
        http="httptools",
        ws="none",
        access_log=False,
        # Its lines go where all others do.
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=5,
    )


def _storage(environ: Mapping[str, str]) -> BlobSettings | None:
    """The settings of Blob Storage; None, with a warning, if it is not configured: it is only needed for audio."""
    if names_blobs(environ):
        return read_blobs(environ)
    log.warning("the API serves no audio: neither %s nor %s is set", BLOB_CONNECTION, BLOB_ENDPOINT)
    return None
