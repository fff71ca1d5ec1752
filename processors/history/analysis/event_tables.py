"""Events as typed tables: one for each event type, and one of all events. Pure.

Data of former versions stands there as today's. What does not keep the contract stands nowhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from songline.schemas.envelope import Event, decode
from songline.schemas.errors import PoisonError
from songline.schemas.events import EVENTS, Payload
from songline.schemas.progress import split_position

MOMENT = pa.timestamp("us", "UTC")
EVENT_COLUMNS: Mapping[str, Any] = {
    "partition": pa.int32(),
    "generation": pa.int32(),
    "position": pa.int64(),
    "enqueued_at": MOMENT,
    "id": pa.string(),
    "source": pa.string(),
    "time": MOMENT,
}
"""The columns that every table has. `enqueued_at` is when the hub took the event, in whole seconds; `generation` counts
how often the hub was made anew before."""
ALL = "events"


def _type(described: msgspec.inspect.Type) -> Any:
    """The Arrow type of a payload's field."""
    match described:
        case msgspec.inspect.Metadata(type=inner):
            return _type(inner)
        case msgspec.inspect.UnionType(types=types):
            (inner,) = (one for one in types if not isinstance(one, msgspec.inspect.NoneType))
            return _type(inner)
        case msgspec.inspect.IntType():
            return pa.int64()
        case msgspec.inspect.StrType():
            return pa.string()
        case msgspec.inspect.VarTupleType(item_type=item):
            return pa.list_(_type(item))
        case _:
            raise TypeError(f"no column for {described}")


def _columns(payload: type[Payload]) -> dict[str, Any]:
    described = msgspec.inspect.type_info(payload)
    assert isinstance(described, msgspec.inspect.StructType)
    return {field.name: _type(field.type) for field in described.fields}


def table_name(logical: str) -> str:
    """The table of an event type: `played` for `songline.song.played`."""
    return logical.rpartition(".")[2]


PAYLOADS: Mapping[str, type[Payload]] = {table_name(logical): payload for logical, (_, payload) in EVENTS.items()}
_NAMES = {payload: name for name, payload in PAYLOADS.items()}
SCHEMAS: Mapping[str, Any] = {
    **{name: pa.schema([*EVENT_COLUMNS.items(), *_columns(payload).items()]) for name, payload in PAYLOADS.items()},
    ALL: pa.schema(
        [
            *EVENT_COLUMNS.items(),
            ("type", pa.string()),
            ("user_id", pa.string()),
            ("song_id", pa.string()),
            ("data", pa.string()),
        ]
    ),
}
"""The tables by name. `events` has the type as a table's name, and the whole data as JSON text."""


class EventRows:
    """Rows of the tables with these names, as they are collected. `count` is how many events there are, `invalid` how
    many bodies kept no contract."""

    def __init__(self, names: Iterable[str]) -> None:
        self.count = 0
        self.invalid = 0
        self._rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in names}

    def add(self, partition: str, positions: Sequence[int], enqueued_s: Sequence[int], bodies: Sequence[bytes]) -> None:
        """Add events as an ArchivedBatch has them."""
        number = int(partition)
        for lasting, second, body in zip(positions, enqueued_s, bodies, strict=True):
            self.count += 1
            try:
                event = decode(body)
            except PoisonError:
                self.invalid += 1
                continue
            generation, position = split_position(lasting)
            self._add(event, (number, generation, position, second * 1_000_000, event.id, event.source, event.time))

    def tables(self) -> dict[str, Any]:
        """The tables of what was added since the last time, those with rows."""
        made = {}
        for name, rows in self._rows.items():
            if rows:
                columns = zip(*rows, strict=True)
                arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMAS[name], strict=True)]
                made[name] = pa.Table.from_arrays(arrays, schema=SCHEMAS[name])
                rows.clear()
        return made

    def _add(self, event: Event, row: tuple[Any, ...]) -> None:
        data = event.data
        name = _NAMES[type(data)]
        if name in self._rows:
            self._rows[name].append((*row, *msgspec.structs.astuple(data)))
        if ALL in self._rows:
            text = msgspec.json.encode(data).decode()
            self._rows[ALL].append((*row, name, data.user_id, data.song_id, text))
