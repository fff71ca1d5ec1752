"""Every version that is offered can be read and answered."""

import io
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kio.index import load_request_schema, load_response_schema
from kio.schema.errors import ErrorCode
from kio.serial import entity_writer

from localcloud.kafka.api_table import Api, ApiTable
from localcloud.kafka.codec import RequestPrefix, decode, encode, lifting, prefix_of
from localcloud.kafka.errors import ProtocolError

TABLE: tuple[Api, ...] = ApiTable(None, None, None, None).table  # type: ignore[arg-type] # only the table is looked at
VERSIONS = [(api, version) for api in TABLE for version in range(api.first, api.last + 1)]
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
def test_a_request_of_every_version_is_lifted(api: Api, version: int) -> None:
    lifting(load_request_schema(api.key, version), api.canonical)


@pytest.mark.parametrize(("api", "version"), VERSIONS, ids=NAMES)
def test_the_canonical_answer_has_every_field_of_every_version(api: Api, version: int) -> None:
    assert missing_names(load_response_schema(api.key, version), load_response_schema(api.key, api.last)) == []


def test_a_lifted_request_has_the_defaults_of_what_its_version_lacked() -> None:
    from kio.schema.join_group.v0 import JoinGroupRequest as Old
    from kio.schema.join_group.v0.request import JoinGroupRequestProtocol
    from kio.schema.join_group.v9 import JoinGroupRequest as New

    protocol = JoinGroupRequestProtocol(name="range", metadata=b"m")
    old: Any = Old
    request = old(group_id="g", session_timeout=None, member_id="", protocol_type="consumer", protocols=(protocol,))
    lift = lifting(Old, New)
    assert lift is not None
    lifted = lift(request)
    assert isinstance(lifted, New)
    assert (lifted.group_id, lifted.group_instance_id, lifted.reason) == ("g", None, None)
    kept: Any = lifted.protocols[0]
    assert kept is protocol


def test_large_values_are_passed_on_without_a_copy() -> None:
    from kio.schema.sasl_authenticate.v0 import SaslAuthenticateResponse

    kind: Any = SaslAuthenticateResponse
    large = bytes(100_000)
    pieces = encode(RequestPrefix(36, 0, 7), kind(error_code=ErrorCode.none, error_message=None, auth_bytes=large))
    assert any(piece is large for piece in pieces)
    frame = b"".join(pieces)
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    assert int.from_bytes(frame[4:8], "big") == 7


@given(st.binary(max_size=200), st.sampled_from(VERSIONS))
def test_any_bytes_are_a_request_or_a_protocol_error(data: bytes, version: tuple[Api, int]) -> None:
    api, number = version
    frame = api.key.to_bytes(2, "big") + number.to_bytes(2, "big") + data
    try:
        prefix = prefix_of(frame)
        decode(frame, prefix, api.canonical)
    except ProtocolError:
        pass


def test_kio_writes_what_we_read() -> None:
    from kio.schema.metadata.v1 import MetadataRequest
    from kio.schema.request_header.v1 import RequestHeader

    head: Any = RequestHeader
    kind: Any = MetadataRequest
    out = io.BytesIO()
    entity_writer(RequestHeader)(out, head(request_api_key=3, request_api_version=1, correlation_id=9, client_id="me"))
    entity_writer(MetadataRequest)(out, kind(topics=None))
    frame = out.getvalue()
    metadata = next(api for api in TABLE if api.key == 3)
    client_id, request = decode(frame, prefix_of(frame), metadata.canonical)
    assert (client_id, request.topics, request.allow_auto_topic_creation) == ("me", None, True)
