"""Sends a history to the API."""

import os
from collections.abc import Callable, Iterator
from typing import IO

import httpx
from msgspec import Struct

from songline.api_client import check, decoded, unreachable
from songline.identity.token_auth import TokenRefusedError
from songline.schemas.imports import ImportState
from songline.sending.exits import CommandError, ExitCode

PIECE_BYTES = 256 * 1024

SentBytes = Callable[[int, int], None]
"""Called with the number of bytes that are sent, and the size of the file."""


class ImportReceiptAnswer(Struct, frozen=True):
    """What an accepted request gets."""

    id: str
    state: ImportState
    href: str


def sent_import(
    client: httpx.Client, file: IO[bytes], name: str, user: str, timezone: str, dry_run: bool, progress: SentBytes
) -> ImportReceiptAnswer:
    """Send an open file under a name, and return what the API answers. Raises ApiRefusalError,
    ApiUnreachableError, and CommandError for a file that can't be read."""
    params = {"userId": user, "timezone": timezone, "dryRun": "true" if dry_run else "false"}
    params["fileName"] = name[-255:]
    for is_again in (False, True):
        try:
            size = os.fstat(file.fileno()).st_size
            request = client.build_request(
                "POST",
                "/v1/imports",
                params=params,
                headers={"Content-Type": "application/octet-stream", "Content-Length": str(size)},
                content=_pieces(file, size, progress),
            )
            answer = client.send(request)
        except TokenRefusedError:
            # A body that is sent in pieces is not sent again by itself, when a token was refused that is over.
            if is_again:
                raise
            continue
        except httpx.TransportError as error:
            raise unreachable(request, error) from None
        except OSError as error:
            raise CommandError(f"{name}: {error.strerror or error}", ExitCode.USAGE) from None
        break
    check(answer)
    return decoded(answer.text, ImportReceiptAnswer)


def _pieces(file: IO[bytes], size: int, progress: SentBytes) -> Iterator[bytes]:
    sent = 0
    file.seek(0)
    while piece := file.read(min(PIECE_BYTES, size - sent)):
        yield piece
        sent += len(piece)
        progress(sent, size)
