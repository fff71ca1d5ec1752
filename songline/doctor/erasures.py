"""Erasures of listeners, for the doctor: those that wait or are stuck, at which step, for how long and why."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from songline.cloud import cosmos
from songline.cloud.settings import CosmosSettings
from songline.doctor.ages import age_text
from songline.doctor.facts import ErasureFacts, FailedQuestion
from songline.doctor.finding import Finding
from songline.processors.history.erasure.erasure_store import ErasureStore
from songline.schemas.channels import DATABASE, ERASURES
from songline.schemas.erasures import Erasure

OVERDUE = timedelta(minutes=15)
"""A worker looks every half minute, and the lease of one that was killed is over after two minutes."""

STUCK = timedelta(hours=2)
"""Capture and the other workers are waited for; an hour of that is no reason to look."""

_CHECK = "erasures"
_START = "start an ingestion worker: it carries out erasures"


async def ask_erasures(settings: CosmosSettings) -> ErasureFacts:
    """Those that are open. Raises AzureError."""
    client = cosmos.client(settings)
    try:
        store = ErasureStore(cosmos.container(client, DATABASE, ERASURES))
        found = await store.open()
        # Workers read these, and say in their logs alone what they pass over.
        await store.keyed()
        return ErasureFacts(tuple(found), tuple(sorted(store.foreign)), datetime.now(UTC))
    finally:
        await client.close()


def erasure_findings(facts: ErasureFacts | FailedQuestion | None) -> Iterator[Finding]:
    """The lines about erasures; none where there are none."""
    if facts is None or isinstance(facts, FailedQuestion):
        # The line about the container says what is wrong.
        return
    for name in facts.foreign:
        seen = f"document {name!r} of the container {ERASURES} is no erasure, and is passed over"
        yield Finding(_CHECK, "warn", seen, "delete it, or restore it from a backup if it was one")
    for erasure in facts.open:
        yield _finding(erasure, facts.now)


def _finding(erasure: Erasure, now: datetime) -> Finding:
    name = f"erasure {erasure.id}"
    if erasure.state == "waiting":
        if now - erasure.due_at < OVERDUE:
            return Finding(_CHECK, "ok", f"{name} waits for its undo window, until {erasure.due_at:%Y-%m-%d %H:%M} UTC")
        return Finding(
            _CHECK,
            "warn",
            f"{name} was due {age_text((now - erasure.due_at).total_seconds())} ago and has not begun",
            _START,
        )
    begun = now - (erasure.begun_at or erasure.requested_at)
    began = f"{name} began {age_text(begun.total_seconds())} ago"
    step = "its next step" if erasure.progress is None or not erasure.progress.name else erasure.progress.name
    reason = erasure.progress.waits_for if erasure.progress is not None else ""
    if erasure.lease_until is not None and now - erasure.lease_until > OVERDUE:
        left = age_text((now - erasure.lease_until).total_seconds())
        seen = f"{began}, is at {step}, and no worker has had it for {left}"
        return Finding(_CHECK, "warn", f"{seen}: {reason}" if reason else seen, _START)
    if not reason:
        return Finding(_CHECK, "ok", f"{began} and is at {step}")
    seen = f"{began} and waits at {step}: {reason}"
    if begun < STUCK:
        return Finding(_CHECK, "ok", seen)
    mend = f"mend what it waits for; `songline forget show {erasure.id}` shows how far it is"
    return Finding(_CHECK, "warn", seen, mend)
