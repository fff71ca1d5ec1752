"""A batch in which events of names have the songs that these are."""

from msgspec import structs

from songline.processors.trending.faust.batch import Batch
from songline.schemas.name_matches import NameMatches


def matched_batch(batch: Batch, matches: NameMatches) -> Batch:
    """The batch, in which events of names have the songs that these are."""
    if not len(matches):
        return batch
    seconds = [ms // 1_000 for ms in batch.logged_ms]
    # Charts count no imported listens, whichever words these have.
    before = list(batch.bodies)
    bodies = matches.matched(before, seconds, by_words=False)
    return batch if bodies is before else structs.replace(batch, bodies=bodies)
