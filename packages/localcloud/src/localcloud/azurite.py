"""Blob Storage on this machine: Azurite, started and ended with localcloud, its data in localcloud's folder.

Azurite is Microsoft's own emulator, a Node program. It dies with localcloud however that ends (see
`blobs/serve.js`) and holds a lock on its folder for as long as it lives, so that the next one waits until the
last has written everything down.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import re
import ssl
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from localcloud import azurite_install
from localcloud.allocator import ARENAS
from localcloud.azurite_install import AzuriteError
from localcloud.published_keys import BLOB_ACCOUNT, BLOB_KEY
from localcloud.tls.authority import ServerCertificate

logger = logging.getLogger("localcloud.azurite")

START_SECONDS = 120.0
STOP_SECONDS = 15.0
LISTENING = re.compile(r"successfully listens on https?://[^:]+:(\d+)")

_DAMAGED: Final = "damaged: "
"""How lines begin that name a file which has changed (see `blobs/damage.js`)."""
_SMALL_HEAP: Final = ("--max-semi-space-size=1", "--heap-growing-percent=20")
"""Options of V8, which lets garbage grow with the machine's memory. Nearly all that Azurite's heap holds is garbage."""


class AzuriteServer:
    """The Blob service between enter and exit, on `host`:`port`; port 0 takes a free one, which `port` then tells.

    `key` is that of every account, base64. `gone` is called when Azurite ends before it is asked to. With a
    `certificate` it speaks HTTPS, and takes tokens that a key of the file `jwks` has signed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        gone: Callable[[], None] | None = None,
        key: str = BLOB_KEY,
        certificate: ServerCertificate | None = None,
        jwks: Path | None = None,
    ) -> None:
        self._certificate = certificate
        self._jwks = jwks
        self._key = key
        self._folder = folder
        self._host = host
        self._gone = gone
        self._ending = False
        self.port = port

    async def __aenter__(self) -> Self:
        """Raises AzuriteError, and AzuriteMissingError where it is not installed."""
        program, modules = azurite_install.find()
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            await self._lock(lock)
            self._process = await self._spawn(program, modules, lock)
        self._said: deque[str] = deque(maxlen=20)
        try:
            async with asyncio.timeout(START_SECONDS):
                self.port = await self._listening()
                await self._answers()
        except BaseException as error:
            await self._end()
            if isinstance(error, TimeoutError):
                raise self._failed(f"did not answer within {START_SECONDS:.0f} s") from None
            raise
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()
        await self._reading

    @property
    def pid(self) -> int:
        return self._process.pid

    async def _lock(self, lock: IO[str]) -> None:
        """Wait for the Azurite before us. The lock belongs to the open file, and so to the child that inherits it."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                while True:
                    with contextlib.suppress(BlockingIOError):
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AzuriteError(
                f"another Azurite holds {self._folder} since more than {STOP_SECONDS:.0f} s; end it, or use other data"
            ) from None

    async def _spawn(self, program: Path, modules: Path, lock: IO[str]) -> Process:
        return await asyncio.create_subprocess_exec(
            str(program),
            *_SMALL_HEAP,
            str(azurite_install.HERE / "serve.js"),
            *("--blobHost", self._host, "--blobPort", str(self.port)),
            *("--location", str(self._folder.resolve()), "--silent", "--disableTelemetry"),
            # SDKs are ahead of the API versions that Azurite knows by name; what they use of them is old.
            "--skipApiVersionCheck",
            *self._tls_options(),
            env={
                ARENAS: "1",
                **os.environ,
                "NODE_PATH": str(modules),
                # Not as an argument, which every user of this machine can read.
                "AZURITE_ACCOUNTS": f"{BLOB_ACCOUNT}:{self._key}",
                "LOCALCLOUD_JWKS": "" if self._jwks is None else str(self._jwks.resolve()),
            },
            stdin=PIPE,
            stdout=PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=(lock.fileno(),),
            # Ctrl-C in a terminal reaches the whole group: Azurite must outlive what still writes to it.
            start_new_session=True,
        )

    def _tls_options(self) -> tuple[str, ...]:
        made = self._certificate
        if made is None:
            return ()
        # Azurite takes tokens over HTTPS only.
        return ("--cert", str(made.certificate.resolve()), "--key", str(made.key.resolve()), "--oauth", "basic")

    async def _listening(self) -> int:
        assert self._process.stdout is not None
        while line := (await self._process.stdout.readline()).decode(errors="replace"):
            self._said.append(line.rstrip())
            if found := LISTENING.search(line):
                return int(found[1])
        raise self._failed("ended at once")

    async def _answers(self) -> None:
        """Any answer will do, a refusal too: it comes from the service itself."""
        tls = None if self._certificate is None else ssl.create_default_context(cafile=self._certificate.authority)
        reader, writer = await asyncio.open_connection(self._host, self.port, ssl=tls)
        path = f"/{BLOB_ACCOUNT}?comp=list"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\nConnection: close\r\n\r\n".encode())
        said = await reader.read()
        writer.close()
        if not said.startswith(b"HTTP/1.1 "):
            raise self._failed(f"answered {said[:80]!r}, expected HTTP")

    async def _read(self) -> None:
        """Keep the pipe from filling up, and notice its end."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            said = line.decode(errors="replace").rstrip()
            self._said.append(said)
            if said.startswith(_DAMAGED):
                logger.error("%s", said.removeprefix(_DAMAGED))
        code = await self._process.wait()
        if not self._ending:
            logger.error("%s", self._failed(f"ended with code {code}"))
            if self._gone is not None:
                self._gone()

    async def _end(self) -> None:
        self._ending = True
        if self._process.returncode is not None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def _failed(self, what: str) -> AzuriteError:
        said = "; ".join(self._said) or "nothing"
        return AzuriteError(f"Azurite on {self._host}:{self.port} {what}. It said: {said}")
