"""The versions of projections, for the doctor: which are live, and which are left over."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from songline.cloud import cosmos
from songline.cloud.concurrency import gather_or_cancel
from songline.cloud.settings import CosmosSettings
from songline.doctor.facts import FailedQuestion, VersionFacts
from songline.doctor.finding import Finding
from songline.processors.history.versions.version_store import NoVersionsError, VersionStore
from songline.processors.trending.state_version import StateVersion
from songline.schemas.channels import CHARTS, DATABASE, PROJECTIONS
from songline.schemas.projections import FIRST_VERSION, PROJECTIONS_OF_VERSIONS, DamagedVersionError

LEFT_OVER = timedelta(days=7)
"""A version that has been built, or was live before, for longer than this is perhaps forgotten."""

_CHECK = "versions of projections"


async def ask_version_states(settings: CosmosSettings) -> VersionFacts:
    """What the documents say. Raises AzureError."""
    client = cosmos.client(settings)
    try:
        store = VersionStore(cosmos.container(client, DATABASE, PROJECTIONS), _now)
        found = await gather_or_cancel(ask_versions_of(store, projection) for projection in PROJECTIONS_OF_VERSIONS)
    finally:
        await client.close()
    return VersionFacts(
        live={name: one.live[name] for name, one in zip(PROJECTIONS_OF_VERSIONS, found, strict=True) if one.live},
        damaged=tuple(text for one in found for text in one.damaged),
        others=tuple(version for one in found for version in one.others),
        now=_now(),
    )


def trending_group(states: VersionFacts | FailedQuestion | None) -> str:
    """The consumer group of the live version of the charts; that of the first one where it is not known."""
    live = states.live if isinstance(states, VersionFacts) else {}
    return StateVersion(live.get(CHARTS, FIRST_VERSION)).group


async def ask_versions_of(store: VersionStore, projection: str) -> VersionFacts:
    """What the documents of a projection say. Raises AzureError."""
    try:
        live = (await store.live(projection)).version
        others = tuple(one for one in await store.read_all(projection) if one.version != live)
    except DamagedVersionError as error:
        return VersionFacts({}, (str(error),), (), _now())
    except NoVersionsError:
        # Another line says that the container is missing.
        others = ()
    return VersionFacts({projection: live}, (), others, _now())


def version_state_findings(facts: VersionFacts | FailedQuestion | None) -> Iterator[Finding]:
    """The lines about live versions, and about those that are perhaps forgotten."""
    if facts is None or isinstance(facts, FailedQuestion):
        # The line about the container `projections` says what is wrong.
        return
    for sentence in facts.damaged:
        seen, _, mend = sentence.partition("; ")
        yield Finding(_CHECK, "fail", seen, mend)
    for one in facts.others:
        age = facts.now - one.since
        if one.state == "dropped" or age < LEFT_OVER:
            continue
        name = f"version {one.version} of {one.projection}"
        mend = f"songline projection drop {one.projection} {one.version}"
        if one.state == "former":
            yield Finding(_CHECK, "warn", f"{name} was live before, {age.days} days ago", mend)
        else:
            what = "is built and not live" if one.state == "ready" else "was begun and is not built"
            mend = f"go on with `songline rebuild {one.projection}`, or {mend}"
            yield Finding(_CHECK, "warn", f"{name} {what}, {age.days} days old", mend)
    if facts.live:
        text = ", ".join(f"{projection} {version}" for projection, version in facts.live.items())
        yield Finding(_CHECK, "ok", f"live: {text}")


def _now() -> datetime:
    return datetime.now(UTC)
