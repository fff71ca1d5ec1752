"""Every version that is offered can be read and answered."""

import contextlib
import io
import random
import struct
from dataclasses import fields, is_dataclass
from datetime import timedelta
from typing import Any, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kio.index import load_request_schema, load_response_schema
from kio.schema.errors import ErrorCode
from kio.serial import entity_reader as kio_reader
from kio.serial import entity_writer

from localcloud.kafka.api_table import Api, ApiTable
from localcloud.kafka.codec import RequestPrefix, decode, encode, prefix_of
from localcloud.kafka.errors import ProtocolError
from localcloud.kafka.request_reader import entity_reader
from localcloud_tests.support.kafka_entities import decorated, entity, frame, written

TABLE: tuple[Api, ...] = ApiTable(None, None, None, None).table  # type: ignore[arg-type] # only the table is looked at
VERSIONS = [(api, version) for api in TABLE for version in range(api.first, api.last + 1)]
METADATA = next(api for api in TABLE if api.key == 3)
NAMES = [f"{api.canonical.__name__}-{version}" for api, version in VERSIONS]


def nested(kind: Any) -> list[Any]:
    """The entity classes inside a field's type."""
    if is_dataclass(kind):
        return [kind]
    return [found for inner in get_args(kind) for found in nested(inner)] if get_origin(kind) else []


def names_of(entity: Any) -> dict[str, Any]:
    return {field.name: nested(field.type) for field in fields(entity)}


def missing_names(old: Any, new: Any, path: str = "") -> list[str]:
    """Fields of `old` that `new` doesn't have, at any depth."""
    before, after = names_of(old), names_of(new)
    lost = [path + name for name in before if name not in after]
    for name in before.keys() & after.keys():
        if before[name]:
            lost += missing_names(before[name][0], after[name][0], f"{path}{name}.")
    return lost


@pytest.mark.parametrize(("api", "version"), VERSIONS, ids=NAMES)
def test_a_request_of_every_version_is_read_as_kio_reads_it(api: Api, version: int) -> None:
    schema: Any = load_request_schema(api.key, version)
    rng = random.Random(version)
    for _ in range(10):
        data = written(entity(rng, schema))
        expected = kio_reader(schema)(data, 0)
        assert entity_reader(schema, schema)(data, 0) == expected
        lifted, size = entity_reader(schema, api.canonical)(data, 0)
        assert size == len(data)
        assert isinstance(lifted, api.canonical)


def test_tagged_fields_that_nobody_knows_are_skipped_wherever_they_stand() -> None:
    flexible = [(api, version) for api, version in VERSIONS if load_request_schema(api.key, version).__flexible__]
    assert len(flexible) > 30
    for api, version in flexible:
        rng = random.Random(version)
        for tag in (b"", b"x", bytes(100)):
            request = entity(rng, load_request_schema(api.key, version))
            bare, tagged = frame(api.key, version, request), frame(api.key, version, decorated(request, tag), tag)
            assert len(tagged) > len(bare), (api.key, version)
            assert decode(tagged, prefix_of(tagged), api.canonical) == decode(bare, prefix_of(bare), api.canonical)


def test_librdkafka_asks_for_the_metadata_of_all_topics_with_a_tag_of_no_meaning() -> None:
    sent = bytes.fromhex("0003000a00000009000772646b61666b610000000000" + "01000000")
    client_id, request = decode(sent, prefix_of(sent), METADATA.canonical)
    assert (client_id, request.topics) == ("rdkafka", None)


@pytest.mark.parametrize(
    "body",
    [
        "ffffffff0f000000",  # four billion topics in eight bytes
        "8080808080808080808001",  # a number of ten bytes
        "00000000ffffffff0f",  # as many tagged fields
        "000000000100ffffffff0f",  # one of as many bytes
        "0000000001",
        "",
        "0202ff",
    ],
)
def test_lengths_that_the_bytes_cannot_hold_are_malformed(body: str) -> None:
    sent = bytes.fromhex("0003000a00000009ffff00" + body)
    with pytest.raises(ProtocolError, match="API 3 version 10 is malformed"):
        decode(sent, prefix_of(sent), METADATA.canonical)


def test_a_retention_that_no_timedelta_holds_is_no_reason_to_refuse_a_commit() -> None:
    api = next(api for api in TABLE if api.key == 8)
    sent = struct.pack(">hhihh1sih", 8, 2, 1, -1, 1, b"g", -1, 0) + struct.pack(">qi", 2**63 - 1, 0)
    _, request = decode(sent, prefix_of(sent), api.canonical)
    assert (request.group_id, request.topics) == ("g", ())


@pytest.mark.parametrize(("api", "version"), VERSIONS, ids=NAMES)
def test_the_canonical_answer_has_every_field_of_every_version(api: Api, version: int) -> None:
    assert missing_names(load_response_schema(api.key, version), load_response_schema(api.key, api.last)) == []


def test_a_request_has_the_defaults_of_what_its_version_lacked() -> None:
    from kio.schema.join_group.v0 import JoinGroupRequest as Old
    from kio.schema.join_group.v0.request import JoinGroupRequestProtocol
    from kio.schema.join_group.v9 import JoinGroupRequest as New

    protocol = JoinGroupRequestProtocol(name="range", metadata=b"m")
    old: Any = Old
    request = old(
        group_id="g",
        session_timeout=timedelta(seconds=6),
        member_id="",
        protocol_type="consumer",
        protocols=(protocol,),
    )
    lifted, _ = entity_reader(Old, New)(written(request), 0)
    assert isinstance(lifted, New)
    assert (lifted.group_id, lifted.group_instance_id, lifted.reason) == ("g", None, None)
    assert (lifted.protocols[0].name, lifted.protocols[0].metadata) == ("range", b"m")


def test_large_values_are_passed_on_without_a_copy() -> None:
    from kio.schema.sasl_authenticate.v0 import SaslAuthenticateResponse

    kind: Any = SaslAuthenticateResponse
    large = bytes(100_000)
    pieces = encode(RequestPrefix(36, 0, 7), kind(error_code=ErrorCode.none, error_message=None, auth_bytes=large))
    assert any(piece is large for piece in pieces)
    sent = b"".join(pieces)
    assert int.from_bytes(sent[:4], "big") == len(sent) - 4
    assert int.from_bytes(sent[4:8], "big") == 7


@given(st.binary(max_size=200), st.sampled_from(VERSIONS))
def test_any_bytes_are_a_request_or_a_protocol_error(data: bytes, version: tuple[Api, int]) -> None:
    api, number = version
    sent = api.key.to_bytes(2, "big") + number.to_bytes(2, "big") + data
    with contextlib.suppress(ProtocolError):
        decode(sent, prefix_of(sent), api.canonical)


def test_kio_writes_what_we_read() -> None:
    from kio.schema.metadata.v1 import MetadataRequest
    from kio.schema.request_header.v1 import RequestHeader

    head: Any = RequestHeader
    kind: Any = MetadataRequest
    out = io.BytesIO()
    entity_writer(RequestHeader)(out, head(request_api_key=3, request_api_version=1, correlation_id=9, client_id="me"))
    entity_writer(MetadataRequest)(out, kind(topics=None))
    sent = out.getvalue()
    client_id, request = decode(sent, prefix_of(sent), METADATA.canonical)
    assert (client_id, request.topics, request.allow_auto_topic_creation) == ("me", None, True)
