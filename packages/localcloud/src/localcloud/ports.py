"""Ports that services ask for."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def names_port(service: str, port: int) -> Iterator[None]:
    """Say, where the block raises OSError, which port of which service could not be had, and what to do."""
    try:
        yield
    except OSError as error:
        raise OSError(f"port {port} for {service}: {error.strerror}; choose another with --{service}-port") from error
