"""Runs a worker and counts what Cosmos DB charges it, whatever version of the product the worker is of.

    python bench/charged.py TALLY MODULE [ARGUMENT…]

is `python -m MODULE` with the arguments, and the file TALLY says at any moment what the process was charged so far
(`Tally`). Counted is every answer that aiohttp brings with `x-ms-request-charge`: retries, batches, queries and deletes
too. Nothing of the product or of the SDKs is imported here, since this runs under the packages of another version as
well.
"""

import json
import mmap
import runpy
import struct
import sys
from pathlib import Path
from typing import Any, NamedTuple

CHARGE = "x-ms-request-charge"
_WRITES = {"POST", "PUT", "PATCH", "DELETE"}
_CONFLICT = {409, 412}
_BATCH_FAILED = 207
_FORM = struct.Struct("<7d")


class Tally(NamedTuple):
    """Request units, and of how many requests: those that wrote, that read (queries too), writes that lost against
    another's, requests that were throttled; the request units of the writes, and the bytes that they sent."""

    charge: float = 0.0
    writes: float = 0.0
    reads: float = 0.0
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


def _count_into(path: Path) -> None:
    import aiohttp

    path.write_bytes(bytes(_FORM.size))
    with path.open("r+b") as file:
        view = mmap.mmap(file.fileno(), _FORM.size)
    send = aiohttp.ClientSession._request
    tally = list(Tally())

    async def request(self: Any, method: str, url: Any, **options: Any) -> Any:
        answer = await send(self, method, url, **options)
        charge = answer.headers.get(CHARGE)
        if charge is not None:
            # A query is a POST that says so.
            wrote = method in _WRITES and "x-ms-documentdb-isquery" not in answer.request_info.headers
            tally[0] += float(charge)
            tally[1] += wrote
            tally[2] += not wrote
            tally[3] += wrote and await _lost(answer)
            tally[4] += answer.status == 429
            if wrote:
                tally[5] += float(charge)
                tally[6] += int(answer.request_info.headers.get("Content-Length", 0))
            view[:] = _FORM.pack(*tally)
        return answer

    aiohttp.ClientSession._request = request  # type: ignore[method-assign, assignment]


async def _lost(answer: Any) -> bool:
    """Whether a write lost against another's: by its status, or by that of an operation of a batch."""
    if answer.status == _BATCH_FAILED:
        # What is read is kept, so the SDK reads it again from there.
        return any(one.get("statusCode") in _CONFLICT for one in json.loads(await answer.read()))
    return answer.status in _CONFLICT


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
