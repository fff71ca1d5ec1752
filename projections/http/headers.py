"""Changes of an answer's headers on its way to the server."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from starlette.types import Message, Send

RawHeaders: TypeAlias = Iterable[tuple[bytes, bytes]]
"""Names and values, as ASGI has them."""


def changing_headers(send: Send, change: Callable[[RawHeaders], RawHeaders]) -> Send:
    """`send`, which sends every answer with what `change` makes of its headers."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": list(change(message.get("headers", ())))}
        await send(message)

    return sent
