"""A request that is not carried out, in the words of HTTP."""


class RequestDeclinedError(Exception):
    """What was asked for is not done, and nothing of it is left behind.

    `status` is that of HTTP (RFC 9110 section 15): below 500 the caller must change something, and `detail` says what
    was seen and what is expected; 503 passes by itself, and `retry_after` seconds are a good moment to ask again.
    """

    def __init__(self, status: int, title: str, detail: str, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.retry_after = retry_after
