"""What a token allows its bearer."""

from enum import StrEnum


class Scope(StrEnum):
    """A scope of an access token. Those without `:any` reach the caller's own events and library alone."""

    EVENTS_WRITE = "events:write"
    EVENTS_WRITE_ANY = "events:write:any"
    SONGS_WRITE = "songs:write"
    LIBRARY_READ = "library:read"
    LIBRARY_READ_ANY = "library:read:any"
    CHARTS_READ = "charts:read"
    ADMIN = "admin"


SERVICES = (Scope.EVENTS_WRITE_ANY, Scope.LIBRARY_READ_ANY)
"""Who has one of these acts for many listeners."""
OWN_SCOPES = (Scope.EVENTS_WRITE, Scope.SONGS_WRITE, Scope.LIBRARY_READ, Scope.CHARTS_READ)
"""What a listener needs."""
