"""Reads what the API answers at the end of an audit, and holds it against the ledger, the hub and the reference."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime

from azure.core.exceptions import AzureError

from songline.audit.answers import ApiAnswers, NoAnswerError, parked_readers
from songline.audit.chart_check import chart_keys, check_charts, check_plays
from songline.audit.chart_reference import USUAL, Rules
from songline.audit.delivery_check import check_delivery
from songline.audit.health_check import FaultSpan, check_health
from songline.audit.health_watch import HealthWatch
from songline.audit.hub_log import HubLog
from songline.audit.ledger import Ledger
from songline.audit.library_check import check_libraries
from songline.audit.parked_check import check_parked
from songline.audit.proof import Proof, unchecked
from songline.audit.song_check import check_songs
from songline.audit.upload_check import check_uploads
from songline.cloud import cosmos
from songline.cloud.settings import read_cosmos
from songline.schemas.channels import DATABASE, PARKED


async def proofs(
    ledger: Ledger,
    log: HubLog,
    answers: ApiAnswers,
    environ: Mapping[str, str],
    watch: HealthWatch,
    faults: Sequence[FaultSpan],
    recovers_s: float,
    rules: Rules = USUAL,
) -> AsyncIterator[Proof]:
    """All proofs of a system that is at rest, and has nothing in it but what the audit sent. What can't be read is said
    to be unchecked."""

    async def uploads() -> list[Proof]:
        return check_uploads(ledger, log, await answers.uploads(ledger.uploads))

    async def parked() -> list[Proof]:
        async with cosmos.client(read_cosmos(environ)) as account:
            found = await parked_readers(cosmos.container(account, DATABASE, PARKED))
        return [check_parked(ledger.bad_records, log, found)]

    async def charts() -> list[Proof]:
        keys = chart_keys(log, datetime.now(UTC), rules)
        return [check_charts(log, await answers.charts(keys, log.ends), rules)]

    async def plays() -> list[Proof]:
        songs = {event.data.song_id for _, _, event in log.events}
        return [check_plays(log, await answers.plays(sorted(songs), log.ends), rules)]

    async def catalog() -> list[Proof]:
        return [check_songs(log, await answers.songs())]

    async def libraries() -> list[Proof]:
        listeners = {event.data.user_id for _, _, event in log.events}
        return [check_libraries(log, await answers.libraries(sorted(listeners)))]

    for one in (*check_delivery(ledger, log), *check_health(watch.samples, watch.positions, faults, log, recovers_s)):
        yield one
    readings: Mapping[str, Callable[[], Awaitable[list[Proof]]]] = {
        "uploads": uploads,
        "parked records": parked,
        "charts": charts,
        "songs' hours": plays,
        "the catalog": catalog,
        "libraries": libraries,
    }
    for what, read in readings.items():
        for one in await reading(what, read):
            yield one


async def reading(what: str, read: Callable[[], Awaitable[list[Proof]]]) -> list[Proof]:
    """The proofs of what is read; where it can't be read, one that says so."""
    try:
        return await read()
    except (NoAnswerError, AzureError) as error:
        why = str(error)
    return [unchecked(what, f"What is answered of {what} equals the reference.", why)]
