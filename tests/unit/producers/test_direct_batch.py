"""An event that is encoded once is the same bytes as the SDK's own, and finds room where the SDK's does."""

from azure.core.settings import settings as azure_settings
from azure.core.tracing import AbstractSpan
from azure.eventhub import EventDataBatch, __version__
from azure.eventhub._pyamqp._encode import encode_payload
from hypothesis import example, given
from hypothesis import strategies as st

from songline.producers.publishing.direct_batch import TESTED_VERSIONS, add_by_sdk, add_encoded, add_function
from songline.producers.publishing.state import QueuedEvent

bodies = st.one_of(st.binary(max_size=300), st.integers(250, 70_000).map(bytes))
# What is encoded changes its form at 255 bytes; so does a map that holds it.
keys = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.integers(225, 260).map(lambda size: "k" * size),
    st.integers(110, 130).map(lambda size: "é" * size),
)


def payload(batch: EventDataBatch) -> bytes:
    output = bytearray()
    encode_payload(output, batch._message)
    return bytes(output)


@given(st.lists(st.tuples(bodies, keys), max_size=8), st.integers(100, 100_000))
@example([(b"x" * size, "k" * length) for size in (1, 255, 256) for length in (0, 231, 232, 255, 256)], 100_000)
def test_bytes_sizes_and_room_are_the_sdks(events: list[tuple[bytes, str]], room: int) -> None:
    theirs, ours = EventDataBatch(room, "0"), EventDataBatch(room, "0")
    for body, key in events:
        event = QueuedEvent(body, key, 0.0)
        assert add_encoded(ours, event) == add_by_sdk(theirs, event)
        assert (len(ours), ours.size_in_bytes) == (len(theirs), theirs.size_in_bytes)
    assert payload(ours) == payload(theirs)


def test_a_version_that_was_not_tested_is_used_by_its_public_api() -> None:
    assert add_function("5.99.0") is add_by_sdk
    assert __version__ in TESTED_VERSIONS, "run the tests of this file, and add the version if they pass"
    assert add_function() is add_encoded


def test_while_traces_are_taken_the_sdk_adds_their_context() -> None:
    azure_settings.tracing_implementation = AbstractSpan
    try:
        assert add_function() is add_by_sdk
    finally:
        azure_settings.tracing_implementation.unset_value()
    assert add_function() is add_encoded
