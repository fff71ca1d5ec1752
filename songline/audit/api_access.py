"""The client of the API that an audit sends and reads with, and what its requests may fail by."""

from collections.abc import Mapping

import click
import httpx

from songline.identity.token_auth import TokenAuth
from songline.identity.token_source import token_source
from songline.processes.environment import API

REQUEST_S = 30.0

REQUEST_FAILURES = (httpx.TransportError, click.ClickException)
"""What a request raises that got no answer. An issuer that gives no token while it is disturbed says so by a
ClickException."""


def open_api(environ: Mapping[str, str], user: str | None = None) -> httpx.AsyncClient:
    """A client of the audited system's API, with tokens about `user`, or about the system's own client, which may do
    everything."""
    auth = TokenAuth(token_source(environ, user=user))
    return httpx.AsyncClient(base_url=environ[API], timeout=REQUEST_S, trust_env=False, auth=auth)


def is_final(status: int) -> bool:
    """Whether a refusal stays one: sending the same again would be of no use."""
    return 400 <= status < 500 and status not in (401, 408, 429)
