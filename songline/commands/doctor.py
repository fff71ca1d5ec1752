"""`songline doctor`: checks every service, entity and setting that the system needs."""

import asyncio
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime

import click
import msgspec
from rich.console import Console
from rich.text import Text

from songline.cloud.extras import MissingExtraError
from songline.cloud.settings import SettingError
from songline.cloud.wrong_settings import WrongSettingsError, read_settings
from songline.doctor.finding import Finding
from songline.doctor.findings import SETTINGS_PAGE, findings
from songline.processes.entities import CONTAINERS
from songline.processes.environment import load

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--azure", is_flag=True, help="Look at the resource group too: tiers, quotas, roles, Capture, apps.")
@click.option("--every-file", is_flag=True, help="Look for holes in all files of the archive: two reads of each.")
def command(as_json: bool, azure: bool, every_file: bool) -> None:
    """Check every service, hub, queue and container, and the settings of the Kafka clients.

    Each failing line says how to mend it. The exit code is 1 when a check fails, and 0 with warnings only.
    """
    # The SDKs log their retries. A failure comes back as a finding.
    logging.disable(logging.WARNING)
    environ = load(os.environ)
    found = [*examine(environ, every_file=every_file), *(_resource_group(environ) if azure else [])]
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        show(found, Console())
    failed = sum(finding.status == "fail" for finding in found)
    raise SystemExit(1 if failed else 0)


def examine(environ: Mapping[str, str], *, every_file: bool = False) -> list[Finding]:
    """The findings about the system that `environ` names."""
    # The import of the SDKs takes a second. Wrong settings are reported without it.
    from songline.doctor.gather import DoctorSettings, gather

    try:
        settings = read_settings(DoctorSettings.read, environ)
    except SettingError as error:
        seen = "; ".join(map(str, error.errors if isinstance(error, WrongSettingsError) else (error,)))
        mend = f"start a system with `songline up`, or set it: see {SETTINGS_PAGE}"
        return [Finding("settings", "fail", seen, mend)]
    facts = asyncio.run(gather(settings, environ, lambda: datetime.now(UTC), every_file=every_file))
    hubs, bus, store = settings.cloud.eventhubs, settings.servicebus, settings.cloud.cosmos
    seen = f"Event Hubs at {hubs.host}, Kafka at {hubs.kafka}, Service Bus at {bus.host}, Cosmos DB at {store.endpoint}"
    return [Finding("settings", "ok", seen), *findings(facts, CONTAINERS)]


def _resource_group(environ: Mapping[str, str]) -> list[Finding]:
    from songline.doctor.azure.examination import examine_azure

    try:
        return asyncio.run(examine_azure(environ))
    except SettingError as error:
        mend = "azd env get-values > .azure-production.env; set -a; . ./.azure-production.env"
        return [Finding("Azure", "fail", str(error), mend)]
    except MissingExtraError as error:
        return [Finding("Azure", "fail", str(error), "see docs/deploy.md")]


def show(found: list[Finding], console: Console) -> None:
    """Print the findings, then the count of each status."""
    width = max(len(finding.check) for finding in found)
    for finding in found:
        line = Text(f"{finding.status:<5}", style=_STYLES[finding.status])
        line.append(f"{finding.check:<{width}}  {finding.seen}", style="default")
        console.print(line, soft_wrap=True)
        if finding.mend:
            console.print(Text(f"{'':<{width + 7}}-> {finding.mend}", style="dim"), soft_wrap=True)
    counts = ", ".join(
        f"{sum(finding.status == status for finding in found)} {status}" for status in ("ok", "warn", "fail")
    )
    console.print(Text(counts, style="bold"))
