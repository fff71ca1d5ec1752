"""The listeners of an audit of the running system, whom the policy of its charts has to exclude."""

from collections.abc import Mapping

from msgspec import structs

from songline.audit.load import LoadNames, players
from songline.audit.plan import AuditConfig
from songline.cloud import cosmos
from songline.cloud.settings import read_cosmos
from songline.processors.runtime import live_version
from songline.processors.trending.version_policy import read_policy
from songline.schemas.channels import CHARTS, DATABASE, PROJECTIONS
from songline.schemas.policy import MAX_EXCLUDED, ChartPolicy

PREFIX = "songline-audit-"
"""The ids of all listeners of such an audit begin with it."""
UPLOADERS = tuple(f"{PREFIX}uploader-{number}" for number in range(2))


class NotExcludedError(Exception):
    """The live charts would count the audit's listeners. The message says what to do."""


def excluded(config: AuditConfig) -> tuple[str, ...]:
    """Those of the audit's listeners who play and like."""
    return players(config, LoadNames(listeners=PREFIX))


def excluding(policy: ChartPolicy, config: AuditConfig) -> ChartPolicy:
    """The same rules under another name, without the audit's listeners. Raises NotExcludedError where the policy has
    no room for them."""
    listeners = tuple(sorted({*policy.excluded_listeners, *excluded(config)}))
    if len(listeners) > MAX_EXCLUDED:
        raise NotExcludedError(
            f"the policy {policy.label} excludes {len(policy.excluded_listeners):,} listeners, and may exclude "
            f"{MAX_EXCLUDED:,} at most: there is no room for the {len(excluded(config))} of the audit"
        )
    return structs.replace(policy, name=f"{policy.name}-audited", excluded_listeners=listeners)


def check_excluded(policy: ChartPolicy, config: AuditConfig) -> None:
    """Raise NotExcludedError unless the policy excludes the audit's listeners."""
    counted = [one for one in excluded(config) if one not in policy.excluded_listeners]
    if counted:
        raise NotExcludedError(
            f"the live charts have the policy {policy.label}, which counts {counted[0]} and {len(counted) - 1} others "
            "of the audit's listeners: expected one that excludes them. Make it and its charts once:\n"
            "  songline audit --here --policy > audited.toml\n"
            "  songline rebuild charts --policy audited.toml --switch"
        )


async def live_policy(environ: Mapping[str, str]) -> ChartPolicy:
    """The policy of the charts that are live. Raises AzureError, DamagedVersionError and SettingError."""
    async with cosmos.client(read_cosmos(environ)) as account:
        container = cosmos.container(account, DATABASE, PROJECTIONS)
        live = await live_version.read(container, CHARTS)
        return await read_policy(container, live.version)
