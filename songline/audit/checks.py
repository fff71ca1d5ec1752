"""Reads what the API answers at the end of an audit, and holds it against the ledger, the hub and the reference."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime

from songline.audit.answers import ApiAnswers, parked_readers
from songline.audit.chart_check import chart_keys, check_charts, check_plays
from songline.audit.chart_reference import USUAL, Rules
from songline.audit.delivery_check import check_delivery
from songline.audit.health_check import FaultSpan, check_health
from songline.audit.health_watch import HealthWatch
from songline.audit.hub_log import HubLog
from songline.audit.ledger import Ledger
from songline.audit.library_check import check_libraries
from songline.audit.parked_check import check_parked
from songline.audit.proof import Proof
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
    """All proofs of a system that is at rest, and has nothing in it but what the audit sent.

    Raises NoAnswerError and AzureError.
    """
    for one in (*check_delivery(ledger, log), *check_health(watch.samples, watch.positions, faults, log, recovers_s)):
        yield one
    for one in check_uploads(ledger, log, await answers.uploads(ledger.uploads)):
        yield one
    async with cosmos.client(read_cosmos(environ)) as account:
        parked = await parked_readers(cosmos.container(account, DATABASE, PARKED))
    yield check_parked(ledger.bad_records, log, parked)
    charts = await answers.charts(chart_keys(log, datetime.now(UTC), rules), log.ends)
    yield check_charts(log, charts, rules)
    songs = {event.data.song_id for _, _, event in log.events}
    yield check_plays(log, await answers.plays(sorted(songs)), rules)
    yield check_songs(log, await answers.songs())
    listeners = {event.data.user_id for _, _, event in log.events}
    yield check_libraries(log, await answers.libraries(sorted(listeners)))
