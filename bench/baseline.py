"""The released version that speeds are compared with: checked out and installed for one run, and run beside today's.

Its code comes from git, its packages from its own lock through the indexes that pip is configured with. Nothing is
kept: the folder goes when the run ends.
"""

import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from msgspec import Struct

from localcloud.cosmos import charges

BASELINE = "64129bc47a6455d00191e85585d370c447bc0b2d"
ROOT = Path(__file__).parents[1]
_CHARGES = "localcloud/cosmos/charges.py"
_SIZES = (0, 1, 500, 1_024, 1_025, 10_000, 102_400, 2_000_000)


class Checkout(Struct, frozen=True):
    """A version of the product: the folder to run it in, and the Python that has its packages."""

    folder: Path
    python: Path

    @property
    def name(self) -> str:
        return BASELINE[:7]


@contextmanager
def checked_out(commit: str = BASELINE) -> Iterator[Checkout]:
    """`commit` with an environment of its own, in a temporary folder. Raises RuntimeError with what a command said."""
    with tempfile.TemporaryDirectory(prefix="songline-baseline-") as name:
        folder = Path(name)
        source = folder / "source"
        with tarfile.open(fileobj=io.BytesIO(_git("archive", commit))) as archive:
            archive.extractall(source, filter="data")
        # `venv` and not a tool of its own: pip has the configuration of this machine.
        _run(sys.executable, "-m", "venv", str(folder / "venv"))
        python = folder / "venv" / "bin" / "python"
        requirements = source / "requirements" / "run.txt"
        _run(str(python), "-m", "pip", "install", "-q", "--require-hashes", "-r", str(requirements))
        yield Checkout(source, python)


def assert_same_charges(commit: str = BASELINE) -> None:
    """Raise AssertionError if localcloud charges anything else than it did at `commit`."""
    before = ModuleType("charges_before")
    exec(compile(_git("show", f"{commit}:{_CHARGES}"), _CHARGES, "exec"), before.__dict__)
    for size in _SIZES:
        assert before.read(size) == charges.read(size), size
        for values in (0, 1, 7, 40):
            for operation in ("insert", "replace", "delete"):
                then, now = getattr(before, operation), getattr(charges, operation)
                assert then(size, values) == now(size, values), (operation, size, values)
        for rows in (0, 1, 100):
            page = {"scanned": 2 * rows, "scanned_bytes": 2 * size, "returned": rows, "returned_bytes": size}
            assert before.query(**page) == charges.query(**page), page


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, stdout=subprocess.PIPE).stdout


def _run(*command: str) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {ran.returncode}: {ran.stderr[-2_000:]}")
