"""What the doctor says of the archive: how far it is behind the hub, what it lacks, its size and growth. Pure."""

from collections.abc import Iterator

from songline.doctor.ages import age_text
from songline.doctor.facts import ArchiveFacts, FailedQuestion
from songline.doctor.finding import Finding
from songline.processors.history.archive.errors import TURN_ON
from songline.schemas.channels import MUSIC_EVENTS

LATE_S = 1_200.0
"""An event may wait for so long: Capture's longest window has 900 s, and a file is written behind it."""

_CHECK = f"archive of {MUSIC_EVENTS}"
_SHOWN = 3
_MORE = "`songline doctor --every-file` reads the two ends of each of the others"


def archive_findings(facts: ArchiveFacts | FailedQuestion) -> Iterator[Finding]:
    """The lines about the archive."""
    match facts:
        case FailedQuestion(reason):
            yield Finding(_CHECK, "warn", f"can't be read: {reason}", "see the lines about Blob Storage and Event Hubs")
            return
        case found:
            pass
    if not found.can_capture:
        seen = "there is none: Microsoft's emulators have no Capture, and history is what the hub still holds"
        yield Finding(_CHECK, "warn", seen, "run on localcloud or on Azure, where every event is kept")
        return
    yield _behind(found)
    if found.files:
        yield Finding("size of the archive", "ok", _size(found), _MORE if found.looked_at < found.files else "")
    yield from _incomplete("holes in the archive", found.holes, "restore the files that are missing from a backup")
    yield from _incomplete("damaged files", found.damages, "restore these files from a backup")
    if found.others:
        named = ", ".join(found.others[:_SHOWN])
        seen = f"{len(found.others):,} blobs of the container {found.container} are no files of Capture: {named}"
        mend = "move them elsewhere: readers pass over them, and an erasure leaves them as they are"
        yield Finding("other files in the archive", "warn", seen, mend)


def _behind(found: ArchiveFacts) -> Finding:
    where = f"container {found.container}"
    if not found.is_there:
        return Finding(_CHECK, "warn", f"{where} is not there", TURN_ON)
    if found.oldest_s is None:
        is_whole = not found.holes and not found.damages
        holds = "holds every event of the hub" if is_whole else "is not behind the hub, and not whole"
        state = holds if found.files else "is empty, as the hub is"
        return Finding(_CHECK, "ok", f"{where} {state}")
    waits = f"{found.waiting:,} events of the hub wait, the oldest for {age_text(found.oldest_s)}"
    if found.oldest_s <= LATE_S:
        return Finding(_CHECK, "ok", f"{where}: {waits}")
    if not found.files:
        return Finding(_CHECK, "warn", f"{where} holds no file, and {waits}", TURN_ON)
    mend = (
        "see the metric of Capture's backlog and that its destination can be written; on this machine see localcloud's "
        "log. Events are lost when the hub's retention is over"
    )
    return Finding(_CHECK, "warn", f"{where} is behind: {waits}", mend)


def _incomplete(check: str, found: tuple[str, ...], mend: str) -> Iterator[Finding]:
    """A line where something is missing, with the first few of it."""
    if found:
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        yield Finding(check, "fail", f"{'; '.join(found[:_SHOWN])}{more}", f"{mend}, or rebuild with --skip")


def _size(found: ArchiveFacts) -> str:
    growth = f"{_bytes(found.day_bytes)} in {found.day_files:,}"
    return (
        f"{_bytes(found.size_bytes)} in {found.files:,} files, of which {growth} "
        f"came in the last 24 hours; {_looked_at(found)} looked at for holes and damage"
    )


def _looked_at(found: ArchiveFacts) -> str:
    if found.looked_at >= found.files:
        return "all were"
    return f"{found.looked_at:,} were, the newest of each partition and those in the index,"


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1_000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1_000
    return f"{size:,.1f} TB"
