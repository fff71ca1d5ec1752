"""A continuous integration that lacks a browser is red, not quietly green."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CONFTEST = """
from localcloud_tests.support.skips import SkipsInContinuousIntegration

def pytest_configure(config):
    if SkipsInContinuousIntegration.wanted():
        config.pluginmanager.register(SkipsInContinuousIntegration())
"""


@pytest.mark.parametrize(
    ("skip", "ci", "code"),
    [
        ("pytest.skip('There is no Chromium')", "true", 1),
        ("pytest.skip('There is no Chromium')", "", 0),
        ("pytest.importorskip('no_such_module')", "true", 1),
        ("pytest.skip('A small file system cannot be mounted here'.replace('cannot', \"can't\"))", "true", 0),
        ("pass", "true", 0),
    ],
)
def test_a_skip_fails_where_ci_is_set(tmp_path: Path, skip: str, ci: str, code: int) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_one.py").write_text(f"import pytest\n\ndef test_one():\n    {skip}\n")
    environment = os.environ | {"CI": ci, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis", "test_one.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stdout
    assert ("skipped, which CI does not allow" in done.stdout) == (code == 1)
