"""Every kind of bad command among good ones: set aside once with its reason, its neighbours carried out, and the worker
goes on."""

import hashlib
import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from azure.servicebus import ServiceBusMessage
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageProperties

from songline.schemas.channels import SONG_COMMANDS
from songline.schemas.commands import PROPERTY, Command, IngestSong, Upload, derived_id, encode
from tests.support.audio import song
from tests.support.ingestion import App, WorkerProcess
from tests.support.waiting import wait_for_async

CONTENT = song("wav", 0.2)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
GOOD_BETWEEN = 5


def written(message_id: str, **changes: Any) -> str:
    """A good command as it is written, but for these of its attributes; `data__x` is the data's x, `upload__x` its
    upload's. Ellipsis takes one away."""
    upload = Upload(sha256=SHA256, size=len(CONTENT), content_type="audio/wav")
    order = IngestSong(user_id="user-7", upload=upload)
    command = Command(id=message_id, source="/tests", time=datetime(2026, 11, 28, tzinfo=UTC), data=order)
    document = json.loads(encode(command))
    for name, value in changes.items():
        *path, last = name.split("__")
        place = document
        for part in {"data": ("data",), "upload": ("data", "upload")}[path[0]] if path else ():
            place = place[part]
        place.update({last: value})
        if value is ...:
            del place[last]
    return json.dumps(document)


def bad() -> dict[str, tuple[Any, str]]:
    """What stands in the property, and the reason of the dead letter, by the message's id."""
    attributes: dict[str, tuple[dict[str, Any], str]] = {
        "type-unknown": ({"type": "songline.song.burn.v1"}, "unknown-type"),
        "type-empty": ({"type": ""}, "unknown-type"),
        "type-of-an-event": ({"type": "songline.song.played.v1"}, "unknown-type"),
        "version-next": ({"type": "songline.song.ingest.v2"}, "unknown-version"),
        "version-none": ({"type": "songline.song.ingest"}, "unknown-type"),
        "version-with-zero": ({"type": "songline.song.ingest.v01"}, "unknown-type"),
        "version-zero": ({"type": "songline.song.ingest.v0"}, "unknown-type"),
        "version-arabic": ({"type": "songline.song.ingest.v\u0661"}, "unknown-type"),
        "version-fullwidth": ({"type": "songline.song.ingest.v\uff11"}, "unknown-type"),
        "version-long": ({"type": "songline.song.ingest.v" + "9" * 5000}, "unknown-type"),
        "id-dots": ({"id": ".."}, "not-a-command"),
        "id-slash": ({"id": "a/b"}, "not-a-command"),
        "id-none": ({"id": ...}, "not-a-command"),
        "time-none": ({"time": ...}, "not-a-command"),
        "time-text": ({"time": "yesterday"}, "not-a-command"),
        "data-list": ({"data": []}, "broken-contract"),
        "data-null": ({"data": None}, "broken-contract"),
        "user-number": ({"data__userId": 7}, "broken-contract"),
        "user-dot": ({"data__userId": "."}, "broken-contract"),
        "sha-short": ({"upload__sha256": "ab"}, "broken-contract"),
        "sha-upper": ({"upload__sha256": SHA256.upper()}, "broken-contract"),
        "size-negative": ({"upload__size": -1}, "broken-contract"),
        "size-text": ({"upload__size": "many"}, "broken-contract"),
        "media-type": ({"upload__contentType": "audio"}, "broken-contract"),
        "blob-dots": ({"upload__blob": ".."}, "broken-contract"),
        "blob-up": ({"upload__blob": "../songs/x"}, "broken-contract"),
        "blob-inside": ({"upload__blob": "a/./b"}, "broken-contract"),
        "blob-control": ({"upload__blob": "a\x00b"}, "broken-contract"),
    }
    found: dict[str, tuple[Any, str]] = {
        message_id: (written(message_id, **changes), reason) for message_id, (changes, reason) in attributes.items()
    }
    found |= {
        # The SDK turns bytes into text, but not these.
        "bytes": (bytearray(b'{"id": "\xff\xfe"}'), "not-a-command"),
        "cut": (written("cut")[:-7], "not-a-command"),
        "null": ("\x00" * 20, "not-a-command"),
        "surrogate": ('{"id": "\\ud800"}', "not-a-command"),
        "deep": ("[" * 20_000, "not-a-command"),
        # The broker takes 64 KB of properties.
        "huge": (written("huge", data__metadata={"title": "x" * 64_900}), "broken-contract"),
        "number": (7, "not-a-command"),
        "truth": (True, "not-a-command"),
        "missing": (None, "not-a-command"),
    }
    return found


def raw(message_id: str, **body: Any) -> AmqpAnnotatedMessage:
    return AmqpAnnotatedMessage(
        **body,
        properties=AmqpMessageProperties(message_id=message_id),
        application_properties={PROPERTY: written(message_id)},
    )


async def test_bad_commands_are_set_aside_once_and_good_ones_among_them_are_carried_out(
    app: App, worker: WorkerProcess
) -> None:
    cases = bad()
    bodies = {
        "value": raw("value", value_body={"song": 1}),
        "value-number": raw("value-number", value_body=7),
        "sequence": raw("sequence", sequence_body=[1, 2]),
    }
    messages: list[Any] = [
        ServiceBusMessage(CONTENT, message_id=name, application_properties={PROPERTY: value} if value else {})
        for name, (value, _) in cases.items()
    ]
    good = [f"good-{number}" for number in range(0, len(messages), GOOD_BETWEEN)]
    async with app.bus.get_queue_sender(SONG_COMMANDS) as sender:
        for number, message in enumerate([*messages, *bodies.values()]):
            if number % GOOD_BETWEEN == 0 and number // GOOD_BETWEEN < len(good):
                await app.upload(good[number // GOOD_BETWEEN], CONTENT)
            await sender.send_messages(message)
        # What lies about the file is no bad command: its ingestion says so.
        for name, lie in (
            ("size-lies", written("size-lies", upload__size=1)),
            ("sha-lies", written("sha-lies", upload__sha256="ab" * 32)),
        ):
            text = lie
            await sender.send_messages(
                ServiceBusMessage(CONTENT, message_id=name, application_properties={PROPERTY: text})
            )
    reasons = {name: reason for name, (_, reason) in cases.items()}
    reasons |= dict.fromkeys(bodies, "not-a-command")

    async def told() -> bool:
        missing = set(reasons) - {str(letter.message_id) for letter in await app.dead_letters()}
        waiting.append((missing, await app.waiting()))
        return not missing and waiting[-1][1] == 0

    waiting: list[tuple[set[str], int]] = []
    try:
        await wait_for_async(told, "the bad commands to be set aside")
    except AssertionError:
        raise AssertionError(f"{waiting[-1]}\n{worker.said[-3000:]}") from None
    for name in good:
        ingestion = await app.settled(name)
        assert (ingestion.state, ingestion.attempts) == ("ready", 1), worker.said
    for name in ("size-lies", "sha-lies"):
        rejected = await app.settled(name)
        assert rejected.reason is not None
        assert rejected.reason.cause == "hash-mismatch"
    letters = await app.dead_letters()
    assert {str(letter.message_id): letter.dead_letter_reason for letter in letters} == reasons
    assert set(Counter(letter.message_id for letter in letters).values()) == {1}
    assert {letter.delivery_count or 0 for letter in letters} == {0}
    assert all(letter.dead_letter_error_description for letter in letters)
    published = Counter(event.id for event in await app.events())
    assert published == Counter(derived_id("song-uploaded", name) for name in good)
    assert worker.running
