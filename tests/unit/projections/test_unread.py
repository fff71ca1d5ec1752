"""A stream that nobody reads is ended, and what it holds is given back."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.types import Message

from songline.projections.http.unread import EventStream

SCOPE = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "method": "GET", "headers": []}


@pytest.mark.parametrize("spec", ["2.3", "2.4"])
async def test_a_stream_that_is_not_read_is_ended(spec: str) -> None:
    ended = False

    async def events() -> AsyncIterator[bytes]:
        nonlocal ended
        try:
            while True:
                yield b"data: x\n\n"
        finally:
            ended = True

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    sent: list[Message] = []

    async def send(message: Message) -> None:
        if len(sent) == 3:
            await asyncio.Event().wait()
        sent.append(message)

    stream = events()
    async with asyncio.timeout(60):
        await EventStream(stream, unread_s=0.05)(
            {**SCOPE, "asgi": {"version": "3.0", "spec_version": spec}}, receive, send
        )
        await stream.aclose()  # type: ignore[attr-defined]  # an async generator, which the signature does not say
    assert len(sent) == 3
    assert ended
