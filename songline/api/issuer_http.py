"""The API's HTTP client for the issuer of access tokens."""

import httpx

ISSUER_S = 10.0
"""How long the issuer may take for each part of an answer."""


def issuer_http() -> httpx.AsyncClient:
    """A client that the caller closes."""
    # Proxies and credentials of the environment are for others.
    return httpx.AsyncClient(trust_env=False, timeout=ISSUER_S)
