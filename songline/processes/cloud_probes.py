"""What `songline up` waits for once localcloud answers, before it starts the others: probes, for its supervisor."""

import asyncio
from collections.abc import Mapping

import click
import httpx
from azure.core.exceptions import AzureError
from msgspec import Struct

from songline.deployment.prepare import ensure_containers
from songline.processes.supervise import Probe
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError


class _CloudHealth(Struct):
    unavailable: dict[str, str] = {}


_cloud_health = Decoder(_CloudHealth, "not-an-answer")


def complete(health: str) -> Probe:
    """Whether localcloud serves all that it was asked for; raises ClickException if it says that it can't: Blob Storage
    without Azurite."""

    def probe() -> str:
        try:
            missing = _cloud_health.decode(httpx.get(health, timeout=5, trust_env=False).content).unavailable
        except (httpx.TransportError, PoisonError) as error:
            return f"{health}: {type(error).__name__} {error}"
        if missing:
            raise click.ClickException("; ".join(missing.values()))
        return ""

    return probe


def ensured(environ: Mapping[str, str]) -> Probe:
    """Whether the databases and containers are there, which it makes."""

    def probe() -> str:
        try:
            asyncio.run(ensure_containers(environ))
        except AzureError as error:
            return f"its containers can't be made: {error}"
        return ""

    return probe
