"""A file on its way to the probe: on this machine's disk, and exactly what its sender sent."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError
from songline.schemas.commands import MAX_SONG_BYTES, Upload


async def spool(upload: Upload, pieces: AsyncIterator[bytes], path: Path) -> None:
    """Write `pieces` to `path`; raise InvalidAudioError (too-big, hash-mismatch) unless they are what `upload` says."""
    if upload.size > MAX_SONG_BYTES:
        raise InvalidAudioError(
            "too-big",
            f"The file has {upload.size / 1e6:,.0f} MB; {MAX_SONG_BYTES // 1_000_000} MB are the most we take.",
        )
    digest = hashlib.sha256()
    length = 0
    with path.open("wb") as file:
        async for piece in pieces:
            length += len(piece)
            if length > upload.size:
                break
            await asyncio.to_thread(_add, file, digest, piece)
    if length != upload.size or digest.hexdigest() != upload.sha256:
        raise InvalidAudioError(
            "hash-mismatch",
            f"The file was changed on its way: sent were {upload.size} bytes with SHA-256 {upload.sha256[:12]}…, and "
            "something else came. Send it again.",
        )


def _add(file: BinaryIO, digest: "hashlib._Hash", piece: bytes) -> None:
    digest.update(piece)
    file.write(piece)
