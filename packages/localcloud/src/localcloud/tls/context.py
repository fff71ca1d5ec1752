"""The TLS context of servers, and their end."""

import asyncio
from contextlib import suppress
from ssl import PROTOCOL_TLS_SERVER, SSLContext, TLSVersion

from localcloud.tls.authority import ServerCertificate

CLOSED_WITHIN_S = 5.0


async def closed(server: asyncio.Server) -> None:
    """Wait for the connections of a server that was closed, and not for those that still shake hands."""
    with suppress(TimeoutError):
        await asyncio.wait_for(server.wait_closed(), CLOSED_WITHIN_S)


def server_context(files: ServerCertificate) -> SSLContext:
    """A context that shows the certificate in `files`. Raises OSError."""
    context = SSLContext(PROTOCOL_TLS_SERVER)
    # What Azure takes at least.
    context.minimum_version = TLSVersion.TLSv1_2
    context.load_cert_chain(files.certificate, files.key)
    return context
