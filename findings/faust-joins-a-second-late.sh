#!/bin/bash
# A Faust app joins its consumer group a second later than it could: its table manager sleeps that long as it starts,
# and nothing is subscribed to before. So it is where the app has no table, too, and after each crash again.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check faust-streaming==0.15.3

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import logging
import time
from importlib.metadata import version

import faust

logging.disable(logging.CRITICAL)


async def seconds_until_registered(tables):
    """How long until the table manager looks at its tables, which the consumer waits for before it subscribes.
    There is no broker: nothing is asked of one until then."""
    app = faust.App("charts", broker="kafka://127.0.0.1:9", store="memory://")
    for number in range(tables):
        app.Table(f"plays-{number}", default=int)
    looked = asyncio.Event()

    async def look():
        looked.set()
        await asyncio.Event().wait()

    app.tables._update_channels = look
    begun = time.monotonic()
    starting = asyncio.create_task(app.tables.on_start())
    await asyncio.wait_for(looked.wait(), 30)
    taken = time.monotonic() - begun
    starting.cancel()
    await asyncio.wait([starting])
    return taken


print(f"faust-streaming {version('faust-streaming')}")
for tables in (0, 2):
    taken = asyncio.run(seconds_until_registered(tables))
    print(f"{tables} tables: begun after {taken:.2f} s")
    assert taken > 0.9, "the table manager does not sleep any more"
PYTHON
