"""The way in, frame by frame: versions, signing in, and bytes that no client would send."""

import os
import struct

import pytest
from kio.schema.api_versions.v3 import ApiVersionsRequest
from kio.schema.errors import ErrorCode
from kio.schema.metadata.v0 import MetadataRequest as MetadataRequestV0
from kio.schema.sasl_authenticate.v1 import SaslAuthenticateRequest
from kio.schema.sasl_handshake.v0 import SaslHandshakeRequest as SaslHandshakeRequestV0
from kio.schema.sasl_handshake.v1 import SaslHandshakeRequest

from localcloud.kafka import connection
from localcloud_tests.support.kafka import CONNECTION_STRING
from localcloud_tests.support.kafka_requests import fetch, fetched, make, plain, produce, produced
from localcloud_tests.unit.kafka.conftest import Connect

# Signing in.


async def test_a_version_of_the_future_is_answered_in_version_0(connect: Connect) -> None:
    client = await connect(sign_in=False)
    request = make(ApiVersionsRequest, client_software_name="x", client_software_version="1")
    client.send(request, api_version=99)
    answer = await client.receive(request, version=0)
    assert answer.error_code is ErrorCode.unsupported_version
    assert {key.api_key for key in answer.api_keys} >= {0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 17, 18, 36}
    assert (await client.call(request)).error_code is ErrorCode.none


async def test_nothing_but_the_way_in_is_served_before_it(connect: Connect) -> None:
    client = await connect(sign_in=False)
    client.send(make(MetadataRequestV0, topics=()))
    assert await client.closed()


async def test_a_wrong_key_is_refused_and_the_connection_closed(connect: Connect) -> None:
    client = await connect(sign_in=False)
    await client.call(SaslHandshakeRequest(mechanism="PLAIN"))
    token = b"\0$ConnectionString\0" + CONNECTION_STRING.replace("SAS_KEY_VALUE", "wrong").encode()
    answer = await client.call(SaslAuthenticateRequest(auth_bytes=token))
    assert answer.error_code is ErrorCode.sasl_authentication_failed
    assert "wrong" not in answer.error_message
    assert await client.closed()


@pytest.mark.parametrize("token", [b"", b"\0\0", b"\xff\0a\0b", b"\0root\0" + CONNECTION_STRING.encode()])
async def test_other_tokens_are_refused(connect: Connect, token: bytes) -> None:
    client = await connect(sign_in=False)
    await client.call(SaslHandshakeRequest(mechanism="PLAIN"))
    answer = await client.call(SaslAuthenticateRequest(auth_bytes=token))
    assert answer.error_code is ErrorCode.sasl_authentication_failed


async def test_authenticating_before_the_handshake_closes_the_connection(connect: Connect) -> None:
    client = await connect(sign_in=False)
    client.send(SaslAuthenticateRequest(auth_bytes=b"\0$ConnectionString\0" + CONNECTION_STRING.encode()))
    assert await client.closed()


async def test_other_mechanisms_are_told_which_ones_there_are(connect: Connect) -> None:
    client = await connect(sign_in=False)
    answer = await client.call(SaslHandshakeRequest(mechanism="SCRAM-SHA-256"))
    assert (answer.error_code, answer.mechanisms) == (ErrorCode.unsupported_sasl_mechanism, ("PLAIN", "OAUTHBEARER"))


async def test_the_oldest_handshake_is_followed_by_a_bare_token(connect: Connect) -> None:
    client = await connect(sign_in=False)
    await client.call(SaslHandshakeRequestV0(mechanism="PLAIN"))
    client.send_frame(b"\0$ConnectionString\0" + CONNECTION_STRING.encode())
    assert await client.receive_frame() == b""
    assert len((await client.call(make(MetadataRequestV0, topics=()))).topics) == 3
    refused = await connect(sign_in=False)
    await refused.call(SaslHandshakeRequestV0(mechanism="PLAIN"))
    refused.send_frame(b"\0$ConnectionString\0nonsense")
    assert await refused.closed()


async def test_a_credential_for_one_hub_opens_only_that(connect: Connect) -> None:
    client = await connect(password=CONNECTION_STRING + ";EntityPath=Events")
    assert [topic.name for topic in (await client.call(make(MetadataRequestV0, topics=()))).topics] == ["events"]
    assert (await produced(client, produce(plain(b"a")))).error_code is ErrorCode.none
    refused = await produced(client, produce(plain(b"a"), topic="other"))
    assert refused.error_code is ErrorCode.topic_authorization_failed
    assert (await fetched(client, fetch(0, "other"))).error_code is ErrorCode.topic_authorization_failed


# Hostile bytes.


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">i", -1),
        struct.pack(">i", 2**31 - 1),
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        struct.pack(">i", 3) + b"abc",
        struct.pack(">ihhi", 8, 3, 99, 1),
        struct.pack(">ihhi", 8, 999, 0, 1),
        struct.pack(">ihhih", 10, 18, 3, 1, 30000),
    ],
    ids=["negative", "huge", "http", "tls", "short", "version", "api", "truncated"],
)
async def test_hostile_bytes_close_the_connection_with_a_word_in_the_log(
    connect: Connect, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    client = await connect(sign_in=False)
    client.writer.write(data)
    assert await client.closed()
    assert "closed:" in caplog.text
    assert "unexpected" not in caplog.text


async def test_noise_after_signing_in_harms_nobody_else(connect: Connect) -> None:
    bystander = await connect()
    for seed in range(30):
        client = await connect()
        key, version = seed % 24, seed % 9
        noise = struct.pack(">hhi", key, version, 1) + os.urandom(60)
        client.send_frame(noise)
        client.writer.write_eof()
        while await client.reader.read(1000):
            pass
    assert (await produced(bystander, produce(plain(b"still here")))).error_code is ErrorCode.none


async def test_a_silent_connection_is_closed_as_azure_does(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "IDLE_SECONDS", 0.05)
    client = await connect(sign_in=False)
    assert await client.closed()
