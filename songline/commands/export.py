"""`songline export`: writes all that is held about a listener."""

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from songline.erasing import EXIT_CODES, checked_listener, run_erasing
from songline.options import DataFolder
from songline.processes.environment import load
from songline.processors.history.erasure.listener_export import MANIFEST, ExportManifest, export_listener
from songline.processors.history.erasure.opening import open_parts


@click.command(epilog=EXIT_CODES)
@click.argument("user_id", metavar="USER")
@click.option("-o", "--output", "folder", type=DataFolder(), required=True, help="The folder; it is made.")
def command(user_id: str, folder: Path) -> None:
    """Write all that is held about the listener USER, from every place, as JSON lines and as Parquet.

    The manifest, with counts, is written last: without it the export is not whole.
    """
    checked_listener(user_id)

    async def work() -> ExportManifest:
        async with open_parts(load(os.environ), lambda: datetime.now(UTC)) as parts:
            return await export_listener(parts.places, user_id, folder, datetime.now(UTC), _show)

    manifest = run_erasing(work)
    records = sum(sum(one.values()) for one in manifest.counts.values())
    click.echo(f"{records:,} records are in {folder}; {folder / MANIFEST} has the counts")


def _show(place: str, count: int) -> None:
    click.echo(f"{place}: {count:,}", err=True)
