"""Why a moment of the past can't be answered."""


class MomentError(ValueError):
    """The history has no such moment; the message is a sentence that names those that it has."""


class NoHistoryError(Exception):
    """There is no archive, or nothing in it; the message is a sentence with what to do."""
