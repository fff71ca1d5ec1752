"""The main features through Azure's client for JavaScript, as an independent witness."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.localcloud import LocalCloud

HERE = Path(__file__).parents[2] / "interop" / "js"
NODE = shutil.which("node")


@pytest.fixture(scope="module")
def _packages() -> None:
    """Installed from the lock file on first use."""
    lock = HERE / "package-lock.json"
    installed = HERE / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        subprocess.run(["npm", "ci", "--ignore-scripts"], cwd=HERE, check=True, capture_output=True, timeout=200)


@pytest.mark.skipif(NODE is None, reason="no node on this machine, which the JavaScript client needs")
@pytest.mark.usefixtures("_packages")
def test_the_main_features(cloud: LocalCloud, queue: str) -> None:
    assert NODE is not None
    arguments = [cloud.servicebus_connection_string, queue, "js-sessions", "js-news", "js"]
    done = subprocess.run(
        [NODE, "servicebus.mjs", *arguments], cwd=HERE, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == ["settle", "schedule", "stream", "sessions", "rules", "errors"]
