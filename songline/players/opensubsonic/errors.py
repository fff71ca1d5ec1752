"""What OpenSubsonic calls errors: a code and words, in an answer of its own shape."""

from enum import IntEnum


class ErrorCode(IntEnum):
    """The codes of OpenSubsonic that are used here."""

    GENERIC = 0
    PARAMETER_MISSING = 10
    WRONG_CREDENTIALS = 40
    NO_SALTED_TOKENS = 41
    MECHANISM_UNSUPPORTED = 42
    MECHANISMS_CONFLICT = 43
    INVALID_API_KEY = 44
    NOT_AUTHORIZED = 50
    NOT_FOUND = 70


class OpenSubsonicError(Exception):
    """The request can't be answered. `status` is that of HTTP: 200 where a client is to read the code, as the protocol
    has it. `retry_s` are seconds after which asking again may do."""

    def __init__(self, code: ErrorCode, message: str, status: int = 200, retry_s: int | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.retry_s = code, message, status, retry_s
