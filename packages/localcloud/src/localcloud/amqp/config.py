"""How long a connection may take, in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AmqpConfig:
    """The time-outs of each connection.

    `handshake_s` is how long a client may take to open. `idle_s` is announced to clients, and those that heed it send
    something in half that time; `keep_alive_s` is how often the server does. `silence_s` ends a connection on which
    nothing came: much later, because Azure's Python SDK keeps nothing alive while a producer has nothing to send. On
    Azure it is AZURE_SILENCE_S.
    `linger_s` is how long the socket is read on after the last frame was sent.
    """

    handshake_s: float = 30.0
    idle_s: float = 240.0
    keep_alive_s: float = 30.0
    silence_s: float = 3600.0
    linger_s: float = 2.0


AZURE_SILENCE_S = 240.0
