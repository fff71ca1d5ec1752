"""The TLS context of all connections: AMQP, Kafka and HTTPS."""

import os
from functools import cache
from ssl import SSLContext, create_default_context

import certifi

CUSTOM = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""The variables of OpenSSL that replace the trusted authorities."""


@cache
def client_context(authorities: str | None) -> SSLContext:
    """The context, made once: reading the authorities takes longer than most connections.

    Trusted are the system's authorities and certifi's, which the SDKs trust by themselves; only those that
    SSL_CERT_FILE or SSL_CERT_DIR name where one is set. Those in the PEM file `authorities` are trusted besides.
    Raises OSError where that can't be read.
    """
    context = create_default_context()
    if not any(os.environ.get(name) for name in CUSTOM):
        context.load_verify_locations(certifi.where())
    if authorities is not None:
        context.load_verify_locations(authorities)
    return context
