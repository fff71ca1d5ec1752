"""Checks what became of accepted uploads. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping

from msgspec import Struct

from songline.audit.hub_log import HubLog
from songline.audit.ledger import AcceptedUpload, Ledger
from songline.audit.proof import Difference, Proof, proof
from songline.schemas.commands import derived_id
from songline.schemas.events import SongUploaded


class UploadAnswer(Struct, frozen=True):
    """What the API says of an upload: its state, the cause where it was rejected, and of a song that is ready the
    SHA-256 of the sound that it serves."""

    state: str
    cause: str | None = None
    sound: str | None = None

    @property
    def outcome(self) -> str:
        return self.state if self.cause is None else self.cause


def check_uploads(ledger: Ledger, log: HubLog, answers: Mapping[str, UploadAnswer]) -> list[Proof]:
    """`answers`: by the ingestion's id."""
    uploads = ledger.uploads.values()
    ready = [one for one in uploads if one.outcome == "ready"]
    return [
        proof(
            "uploads-kept",
            "Every accepted upload came to its true end, and the sound that is served is what was sent.",
            {"uploads": len(ledger.uploads), "songs": len(ready)},
            _untrue(ledger, answers),
        ),
        proof(
            "uploads-told-once",
            "Every song of an upload is one event, and a rejected upload is none.",
            {"songs": len(ready), "rejected": len(ledger.uploads) - len(ready)},
            _not_once(list(uploads), log),
        ),
    ]


def _untrue(ledger: Ledger, answers: Mapping[str, UploadAnswer]) -> Iterator[Difference]:
    for one in ledger.uploads.values():
        where, found = f"/v1/ingestions/{one.ingestion}", answers.get(one.ingestion)
        if found is None:
            yield Difference(f"upload {one.ingestion} was accepted and is not there", one.outcome, None, where)
        elif found.outcome != one.outcome:
            yield Difference(f"upload {one.ingestion} has another end", one.outcome, found.outcome, where)
        elif one.outcome == "ready" and found.sound != one.sha256:
            where = f"/v1/songs/{one.ingestion}/audio"
            yield Difference(f"song {one.ingestion} has another sound", one.sha256, found.sound, where)


def _not_once(uploads: list[AcceptedUpload], log: HubLog) -> Iterator[Difference]:
    # An event that was published again has the same id, and readers count it once.
    ids = {event.id: event.data.song_id for _, _, event in log.events if isinstance(event.data, SongUploaded)}
    told = Counter(ids.values())
    for one in uploads:
        wanted = 1 if one.outcome == "ready" else 0
        if told[one.ingestion] != wanted:
            what = f"upload {one.ingestion} ({one.outcome}) was told {told[one.ingestion]} times"
            yield Difference(what, wanted, told[one.ingestion], "the hub music-events")
        elif wanted and derived_id("song-uploaded", one.ingestion) not in ids:
            yield Difference(f"song {one.ingestion} was told under another id", None, None, "the hub music-events")
