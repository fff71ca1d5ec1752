"""What a listen is: the rule that charts and libraries share.

A rebuild under another one changes the past on purpose, so it is never edited in place.
"""

LISTEN_MS = 30_000


def is_listen(played_ms: int, duration_ms: int) -> bool:
    """Thirty seconds, or half of a song that is shorter than a minute."""
    return played_ms >= LISTEN_MS or played_ms * 2 >= duration_ms
