"""Histories that players hand over by the API: what one token brings on a UTC day is one import, which is shown, and
can be taken back whole, like that of a file."""

from datetime import UTC, datetime
from hashlib import sha256

from msgspec import Struct, structs

from songline.players.tokens.player_token import PlayerToken
from songline.producers.uploads.import_records import ImportRecord, ImportRecords
from songline.schemas.imports import TAKEN_BACK, HistoryImport, ImportCounts, import_id_of

FORMAT = "listenbrainz"
_ZONE = "UTC"


class TakenCounts(Struct, frozen=True):
    """What became of the listens of one request."""

    matched: int = 0
    by_name: int = 0
    known: int = 0


class ApiImports:
    """Opens imports and counts in them. Methods raise TransientError where the store gives no answer."""

    def __init__(self, records: ImportRecords) -> None:
        self._records = records

    async def open(self, token: PlayerToken, now: datetime) -> ImportRecord:
        """The import of the token's day. One that was taken back is followed by another: what it brought stays away."""
        name = f"{token.player}, {now.astimezone(UTC):%Y-%m-%d}"
        digest = sha256(f"{FORMAT}\0{token.id}\0{now.astimezone(UTC):%Y-%m-%d}".encode()).hexdigest()
        generation = 0
        while True:
            made = HistoryImport(
                id=import_id_of(token.user_id, digest, _ZONE, generation),
                user_id=token.user_id,
                state="done",
                received_at=now,
                updated_at=now,
                sha256=digest,
                size=0,
                file_name=name,
            )
            record = await self._records.create(made)
            if record.found.state not in TAKEN_BACK:
                return record
            generation += 1

    async def count(self, record: ImportRecord, counts: TakenCounts, now: datetime) -> None:
        """Add what was taken."""
        await self._records.change(record, lambda found: _counted(found, counts, now))


def _counted(found: HistoryImport, counts: TakenCounts, now: datetime) -> HistoryImport:
    before = found.counts
    taken = counts.matched + counts.by_name
    after = ImportCounts(
        read=before.read + taken + counts.known,
        taken=before.taken + taken,
        known=before.known + counts.known,
        matched=before.matched + counts.matched,
        by_name=before.by_name + counts.by_name,
        skipped=before.skipped,
        formats={**before.formats, FORMAT: before.formats.get(FORMAT, 0) + taken + counts.known},
    )
    return structs.replace(found, counts=after, updated_at=max(found.updated_at, now))
