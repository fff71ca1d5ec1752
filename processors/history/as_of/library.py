"""A listener's library as of a moment: the fold of what they had done of all that the hub had taken by then."""

from contextlib import aclosing
from datetime import UTC, datetime

from songline.processors.history.as_of.answers import PastLibrary
from songline.processors.history.charts.beginning import check_moment, first_second, read_spans
from songline.processors.history.charts.readable import EventColumns, EventsRead, ReadableHistory
from songline.processors.library.actions import parse_actions
from songline.processors.runtime.hub_record import HubRecord
from songline.schemas.library.action import UserAction
from songline.schemas.library.fold import fold_actions
from songline.schemas.progress import split_position

_ESCAPE = b"\\u"


def listener_actions(user_id: str, partition: str, batch: EventsRead) -> list[UserAction]:
    """The listener's actions in a batch."""
    records = (
        HubRecord(position, datetime.fromtimestamp(second, UTC), body)
        for position, second, body in zip(batch.positions, batch.enqueued_s, batch.bodies, strict=True)
    )
    return [one for one in parse_actions(int(partition), records).actions if one.user_id == user_id]


async def library_as_of(history: ReadableHistory, user_id: str, second: int) -> PastLibrary:
    """The library of all that the hub had taken by the Unix second `second`, by a reading of the whole history.

    Raises NoHistoryError, MomentError, and what reading the history raises.
    """
    spans = await read_spans(history)
    check_moment(second, await first_second(history, spans))
    actions: list[UserAction] = []
    positions = {}
    wanted = user_id.encode()
    for partition in spans:
        last = -1
        async with aclosing(history.read(partition, -1, second + 1)) as found:
            async for batch in found:
                last = batch.positions[-1]
                actions += listener_actions(user_id, partition, _some(batch, wanted))
        positions[partition] = split_position(last)[1]
    return PastLibrary(fold_actions(actions), positions)


def _some(batch: EventsRead, wanted: bytes) -> EventsRead:
    """Of the events those in which the listener may be named: as they are written, or with escapes."""
    places = [at for at, body in enumerate(batch.bodies) if wanted in body or _ESCAPE in body]
    return EventColumns(
        [batch.positions[at] for at in places],
        [batch.enqueued_s[at] for at in places],
        [batch.bodies[at] for at in places],
    )
