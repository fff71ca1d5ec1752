"""Runs that name no seed take the same examples, whatever else is run or imported."""

import os
import subprocess
import sys
from pathlib import Path

from localcloud_tests.support.fuzzing import SEED

ROOT = Path(__file__).resolve().parents[3]
CONFTEST = """
from localcloud_tests.support import fuzzing

def pytest_configure(config):
    fuzzing.configure(config)
"""
RANDOM_TEST = """
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

@given(st.integers(), st.text(), st.floats())
def test_one(number, text, part):
    with Path("drawn").open("a") as file:
        print(repr((number, text, part)), file=file)
"""
ANOTHER = "from product import constants\n" + RANDOM_TEST.replace("test_one", "test_another").replace("drawn", "others")
CONSTANTS = [f"number_{number} = {number}, {number}.5, '{number}'\n" for number in range(1_000_000, 1_000_300)]


def drawn(folder: Path, *options: str, **environment: str) -> str:
    """What `test_one` draws in a run of pytest with these options."""
    (folder / "drawn").unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-p", "no:schemathesis", *options]
    at = {name: value for name, value in os.environ.items() if not name.startswith(("FUZZ_", "PYTEST_"))}
    at |= {"PYTHONPATH": f"{ROOT}:{folder}", **environment}
    done = subprocess.run(command, cwd=folder, env=at, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"random tests: seed {environment.get('FUZZ_SEED', SEED)}," in done.stdout
    return (folder / "drawn").read_text()


def test_examples_are_those_of_the_seed_and_the_test(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_one.py").write_text(RANDOM_TEST)
    alone = drawn(tmp_path, "-p", "no:xdist", PYTHONHASHSEED="1")
    assert alone != drawn(tmp_path, "-p", "no:xdist", PYTHONHASHSEED="1", FUZZ_SEED="2")
    (tmp_path / "product").mkdir()
    (tmp_path / "product/constants.py").write_text("".join(CONSTANTS))
    (tmp_path / "test_another.py").write_text(ANOTHER)
    assert drawn(tmp_path, "-n", "1", CI="true", PYTHONHASHSEED="2") == alone
