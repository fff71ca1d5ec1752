"""Commands about versions as an operator runs them, and what they leave."""

import asyncio
import sys
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from songline.processors.history.versions.listing import ListedVersion
from tests.support.localcloud import LocalCloud


class CommandOutcome(Struct, frozen=True):
    """What a command did: its exit code, and its standard output and error together."""

    code: int
    said: str


class Operator:
    """Runs `songline` against a localcloud."""

    def __init__(self, cloud: LocalCloud, environ: Mapping[str, str] | None = None) -> None:
        self._environ = {**cloud.environment, **(environ or {})}

    async def begin(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start a command, whose standard error goes to its standard output."""
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "songline",
            *arguments,
            env=self._environ,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def run(self, *arguments: str) -> CommandOutcome:
        """Run a command to its end. It is killed where the caller is cancelled: it would wait for its services."""
        process = await self.begin(*arguments)
        try:
            said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        assert process.returncode is not None
        return CommandOutcome(process.returncode, said.decode())

    async def done(self, *arguments: str) -> str:
        """What a command says that must not fail."""
        outcome = await self.run(*arguments)
        assert outcome.code == 0, outcome.said
        return outcome.said

    async def versions(self, projection: str) -> list[ListedVersion]:
        """All versions, as `songline projection list` has them."""
        return listed(await self.done("projection", "list", projection, "--json"))


def listed(text: str) -> list[ListedVersion]:
    """The versions that `--json` printed."""
    return [msgspec.json.decode(line, type=ListedVersion) for line in text.splitlines()]


async def kill_midway(process: asyncio.subprocess.Process, after_s: float) -> bool:
    """SIGKILL a command after so long, or where the caller is cancelled; return whether it was still running."""
    try:
        await asyncio.wait_for(process.wait(), after_s)
    except TimeoutError:
        return True
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return False


def lines(text: str, containing: Sequence[str]) -> list[str]:
    """The lines that have one of the texts."""
    return [line for line in text.splitlines() if any(one in line for one in containing)]
