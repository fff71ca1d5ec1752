"""Runs a worker and counts what Cosmos DB charges it, whatever version of the product the worker is of.

    python bench/charged.py TALLY MODULE [ARGUMENT…]

is `python -m MODULE` with the arguments, and the file TALLY says at any moment what the process was charged so far
(`Tally`). Counted is every answer that aiohttp brings with `x-ms-request-charge`: retries, batches, queries and deletes
too. Where the variable JOURNAL names a file, it gets a line for each transactional batch that was written. Nothing of
the product or of the SDKs is imported here, since this runs under the packages of another version as well.
"""

import json
import mmap
import os
import runpy
import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

CHARGE = "x-ms-request-charge"
JOURNAL = "SONGLINE_BENCH_JOURNAL"
_WRITES = {"POST", "PUT", "PATCH", "DELETE"}
_CONFLICT = {409, 412}
_BATCH_FAILED = 207
_IS_BATCH = "x-ms-cosmos-is-batch-request"
_FORM = struct.Struct("<8d")


class Tally(NamedTuple):
    """Request units, and of how many requests: those that wrote, that read (queries too), transactional batches, and
    of these such as lost against another's, requests that were throttled; the request units of the writes, and the
    bytes that they sent."""

    charge: float = 0.0
    writes: float = 0.0
    reads: float = 0.0
    batches: float = 0.0
    conflicts: float = 0.0
    throttled: float = 0.0
    write_charge: float = 0.0
    write_bytes: float = 0.0

    @classmethod
    def read(cls, path: Path) -> "Tally":
        """What the process that writes `path` was charged so far; nothing if it has not begun."""
        data = path.read_bytes() if path.exists() else b""
        return cls(*_FORM.unpack(data)) if len(data) == _FORM.size else cls()

    def since(self, before: "Tally") -> "Tally":
        """What came after `before`."""
        return Tally(*(now - then for now, then in zip(self, before, strict=True)))

    def plus(self, other: "Tally") -> "Tally":
        return Tally(*(one + another for one, another in zip(self, other, strict=True)))


def command(python: str, tally: Path, module: str) -> list[str]:
    """The command that runs `module` under `python` and counts into `tally`."""
    return [python, str(Path(__file__).resolve()), str(tally), module]


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The first document of each batch that was written, without its runs, in order."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _count_into(path: Path) -> None:
    import aiohttp

    path.write_bytes(bytes(_FORM.size))
    with path.open("r+b") as file:
        view = mmap.mmap(file.fileno(), _FORM.size)
    send = aiohttp.ClientSession._request
    tally = SimpleNamespace(**Tally()._asdict())
    journal = Path(os.environ[JOURNAL]) if JOURNAL in os.environ else None

    async def request(self: Any, method: str, url: Any, **options: Any) -> Any:
        answer = await send(self, method, url, **options)
        charge = answer.headers.get(CHARGE)
        if charge is not None:
            # A query is a POST that says so.
            wrote = method in _WRITES and "x-ms-documentdb-isquery" not in answer.request_info.headers
            sent = answer.request_info.headers
            is_batch = _IS_BATCH in sent
            tally.charge += float(charge)
            tally.writes += wrote
            tally.reads += not wrote
            tally.batches += is_batch
            tally.conflicts += is_batch and await _lost(answer)
            tally.throttled += answer.status == 429
            if wrote:
                tally.write_charge += float(charge)
                tally.write_bytes += int(sent.get("Content-Length", 0))
            view[:] = _FORM.pack(*(getattr(tally, name) for name in Tally._fields))
            if journal is not None and is_batch and answer.status == 200:
                first = json.loads(options["data"])[0]["resourceBody"]
                with journal.open("a") as lines:
                    lines.write(json.dumps({name: value for name, value in first.items() if name != "runs"}) + "\n")
        return answer

    aiohttp.ClientSession._request = request  # type: ignore[method-assign, assignment]


async def _lost(answer: Any) -> bool:
    """Whether a batch lost against another's write, by the status of one of its operations."""
    # What is read is kept, so the SDK reads it again from there.
    return answer.status == _BATCH_FAILED and any(
        one.get("statusCode") in _CONFLICT for one in json.loads(await answer.read())
    )


def main() -> None:
    """Run the module that the command line names, as `python -m` does."""
    _, tally, module, *arguments = sys.argv
    # As `python -m` has it: modules of the folder in which this runs, not those beside this file.
    sys.path[0] = ""
    sys.argv = [module, *arguments]
    _count_into(Path(tally))
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
