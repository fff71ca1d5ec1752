"""Why a moment of the past can't be answered."""

from songline.schemas.moments import moment_at


class MomentError(ValueError):
    """The history has no such moment; the message is a sentence that names those that it has."""


def check_moment(second: int, first_s: int) -> None:
    """Raise MomentError for a second before that of the history's first event."""
    if second < first_s:
        begin = moment_at(first_s * 1_000).isoformat().replace("+00:00", "Z")
        raise MomentError(f"the history begins at {begin}; nothing is known of moments before")
