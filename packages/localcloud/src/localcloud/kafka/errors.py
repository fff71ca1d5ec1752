"""What ends a connection. Everything else is an error code in an answer."""


class ProtocolError(Exception):
    """The client's bytes can't be understood, or come at a moment when they must not: the connection is closed."""
