"""The TLS context of all connections over AMQP and Kafka."""

import os
from functools import cache
from ssl import SSLContext, create_default_context

import certifi

CUSTOM = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""The variables of OpenSSL that replace the trusted authorities."""


@cache
def client_context() -> SSLContext:
    """The context, made once: reading the authorities takes longer than most connections.

    Trusted are the system's authorities and certifi's, which the SDKs trust by themselves; only those that
    SSL_CERT_FILE or SSL_CERT_DIR name where one is set.
    """
    context = create_default_context()
    if not any(os.environ.get(name) for name in CUSTOM):
        context.load_verify_locations(certifi.where())
    return context
