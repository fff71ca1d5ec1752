"""The machine and the versions that a measurement was made with, and what a process has used."""

import os
import platform
import statistics
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "aiokafka", "azure-cosmos", "azure-eventhub", "azure-servicebus", "azure-storage-blob", "confluent-kafka",
    "faust-streaming", "msgspec", "numpy",
)  # fmt: skip

WRITTEN = ("docs/performance.md", "bench/results.jsonl")


def machine() -> str:
    """The kind of this machine: processors and memory; it names no host."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{platform.machine()}, {os.cpu_count()} cores, {pages / 2**30:.0f} GiB"


def additions_ms() -> float:
    """How many milliseconds of CPU a million additions in Python take: the median of nine.

    It says by how much this machine is slower now than at another time, or than another machine.
    """
    return statistics.median(_additions_ms() for _ in range(9))


def _additions_ms() -> float:
    begun, total = time.process_time(), 0
    for number in range(1_000_000):
        total += number
    return (time.process_time() - begun) * 1e3


def versions() -> dict[str, str]:
    """The commit, and the versions of Python and of the packages that take part."""
    found = {"songline": _commit(), "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def cpu_s(pid: int) -> float:
    """The CPU seconds that a process has used so far. Source: proc(5), utime and stime."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_bytes(pid: int) -> int:
    """The resident memory of a process. Source: proc(5), statm."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files(pid: int) -> int:
    """How many file descriptors a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _commit() -> str:
    """The commit, with `-dirty` where other files are changed than those that `make bench` writes itself."""
    commit = _git("describe", "--always")
    is_changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", *(f":!{name}" for name in WRITTEN))
    return f"{commit}-dirty" if is_changed else commit or "unknown"


def _git(*arguments: str) -> str:
    ran = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return ran.stdout.strip()
