"""Azure's clients for JavaScript, as independent witnesses: the scripts in `tests/interop/js`."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1] / "interop" / "js"
NODE = shutil.which("node")

# The names that each script prints: its checks.
EVENT_HUBS = """
    partitionIds hubProperties emptyPartition partitionProperties
    sendArray sendBatch fullBatch partitionKey partitionsInTurn properties systemFields bodies
    annotatedMessages bufferedProducer
    earliest latest positions lastEnqueued groups ownerLevel processors
    missingHub missingPlaces wrongKey tokens tokensForAnotherHub tooLarge manyClients
""".split()
SERVICE_BUS = "settle schedule stream sessions rules errors".split()
COSMOS_DB = "resources items queries batches patches bulk changes throughput".split()

needs_node = pytest.mark.skipif(NODE is None, reason="no node on this machine, which the JavaScript client needs")


def run(script: str, *arguments: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """The words that a script printed; its packages are installed from the lock file on first use. `environ` is in its
    environment besides."""
    assert NODE is not None
    lock, installed = HERE / "package-lock.json", HERE / "node_modules" / ".package-lock.json"
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # another worker may be installing them
        if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
            subprocess.run(["npm", "ci", "--ignore-scripts"], cwd=HERE, check=True, capture_output=True, timeout=200)
    done = subprocess.run(
        [NODE, script, *arguments],
        cwd=HERE,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split()
