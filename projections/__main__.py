"""`python -m projections`: serve the read API."""

import logging
import os

import click
import uvicorn

from cloud.settings import BadSetting, read_cosmos
from projections.api import create


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", default=8000, help="Port to listen on; 0 takes a free one.")
def main(host: str, port: int) -> None:
    """Serve charts over HTTP. Settings come from the environment: see docs/operations.md."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = read_cosmos(os.environ)
    except BadSetting as error:
        raise SystemExit(f"projections: {error}") from None
    uvicorn.run(
        create(settings),
        host=host,
        port=port,
        http="httptools",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    main()
