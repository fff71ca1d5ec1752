"""The AsyncAPI 3 document: what goes over which hub and queue, generated from the types.

Source: AsyncAPI Specification 3.0.0.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from songline.schemas import commands, envelope, examples, live
from songline.schemas.channels import (
    CATALOG,
    MUSIC_EVENTS,
    NOW_PLAYING,
    SONG_COMMANDS,
    TRENDING_PARTIALS,
    TRENDING_TOPS,
)
from songline.schemas.events import ACCEPTED_TYPES, FORMER_EVENTS, TYPE_NAMES
from songline.schemas.jsonschema import tidied
from songline.schemas.songs import Song
from songline.schemas.written import written, written_command, written_former

VERSION = "3.0.0"
SONG = "song"

_MOMENT = datetime(2026, 11, 22, 14, 0, 0, 123_000, tzinfo=UTC)
_LIVE = live.LiveEvent(
    id="019aabd1-5b7b-7000-8000-000000000051",
    source="/services/player",
    time=_MOMENT,
    data=live.PlaybackStarted(user_id="user-7", song_id="song-42"),
)
_SONG = Song(
    id="song-42",
    user_id="user-3",
    title="Paper Lanterns",
    artist="Nova Reed",
    duration_ms=201_000,
    uploaded_at=_MOMENT,
    genre="indie",
)
_SCHEMA = "#/components/schemas/{name}"

_INTERNAL = "Between the stages of the trending worker, in a form of its own that may change with any version."


def document() -> dict[str, Any]:
    """The whole document; equal types make equal documents."""
    kinds: dict[str, type[Struct]] = {
        **{name: written(payload) for payload, name in TYPE_NAMES.items()},
        **{f"{name}.v{version}": written_former(name, version) for name, version in FORMER_EVENTS},
        **{name: written_command(order) for order, name in commands.TYPE_NAMES.items()},
        live.TYPE: live.LiveEvent,
        SONG: Song,
    }
    refs, schemas = msgspec.json.schema_components(kinds.values(), ref_template=_SCHEMA)
    messages = {name: _message(name, kind, ref) for (name, kind), ref in zip(kinds.items(), refs, strict=True)}
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Songline",
            "version": "1",
            "description": "Facts go over Event Hubs, for any number of readers; wishes over Service Bus, for one.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "eventhubs": {
                "host": "{namespace}.servicebus.windows.net:5671",
                "protocol": "amqps",
                "description": "Azure Event Hubs over AMQP 1.0; its Kafka endpoint is port 9093 of the same host.",
                "variables": {"namespace": {"description": "the Event Hubs namespace"}},
            },
            "servicebus": {
                "host": "{namespace}.servicebus.windows.net:5671",
                "protocol": "amqps",
                "description": "Azure Service Bus over AMQP 1.0.",
                "variables": {"namespace": {"description": "the Service Bus namespace"}},
            },
        },
        "channels": {
            MUSIC_EVENTS: _channel(
                "eventhubs",
                "Everything that happens, keyed by the listener (or uploader), so that one's events stay in order.",
                ACCEPTED_TYPES,
            ),
            NOW_PLAYING: _channel(
                "eventhubs",
                "The songs that begin to play now. An event is delivered at once or lost; none is stored.",
                (live.TYPE,),
            ),
            CATALOG: _channel(
                "eventhubs",
                "The songs that are available, as a table: compacted, keyed by the song's id, to be read over Kafka "
                "from the beginning. The last record of a key holds; one without a body means that the song is gone.",
                (SONG,),
            ),
            TRENDING_PARTIALS: _channel("eventhubs", f"Counts by song. {_INTERNAL}", ()),
            TRENDING_TOPS: _channel("eventhubs", f"Top lists of shards. {_INTERNAL}", ()),
            SONG_COMMANDS: _channel(
                "servicebus",
                "Wishes about songs. The command is the application property `command`, and the body is the file that "
                "an `IngestSong` brings inline; duplicate detection goes by the message id, which is the command's.",
                tuple(commands.TYPE_NAMES.values()),
            ),
        },
        "operations": {
            "publishEvents": _operation("send", MUSIC_EVENTS, "Backend services, simulators and the ingestion worker"),
            "readEvents": _operation("receive", MUSIC_EVENTS, "Trending, the catalog, libraries, and any other reader"),
            "tellPlayback": _operation("send", NOW_PLAYING, "The write API"),
            "hearPlayback": _operation("receive", NOW_PLAYING, "The read API, for clients that follow a listener"),
            "tellSongs": _operation("send", CATALOG, "The catalog worker"),
            "readSongs": _operation("receive", CATALOG, "Readers of all songs"),
            "sendCommands": _operation("send", SONG_COMMANDS, "The write API"),
            "carryOutCommands": _operation("receive", SONG_COMMANDS, "The ingestion worker only"),
        },
        "components": {"messages": messages, "schemas": tidied(schemas)},
    }


def _channel(server: str, description: str, messages: tuple[str, ...]) -> dict[str, Any]:
    return {
        "description": description,
        "servers": [{"$ref": f"#/servers/{server}"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }


def _operation(action: str, channel: str, summary: str) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}


def _message(name: str, kind: type[Struct], schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "title": kind.__name__,
        "summary": " ".join((kind.__doc__ or "").split()),
        "contentType": "application/json",
        "payload": schema,
        "examples": [{"name": "one", "payload": _example(name)}],
    }


def _example(name: str) -> Any:
    if name in examples.FORMER_EVENTS:
        return examples.FORMER_EVENTS[name]
    for payload, event in examples.EVENTS.items():
        if TYPE_NAMES[payload] == name:
            return msgspec.json.decode(envelope.encode(event))
    for order, command in examples.COMMANDS.items():
        if commands.TYPE_NAMES[order] == name:
            return msgspec.json.decode(commands.encode(command))
    return msgspec.to_builtins({SONG: _SONG, live.TYPE: _LIVE}[name])
