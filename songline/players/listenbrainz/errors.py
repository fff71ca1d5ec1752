"""What ListenBrainz' API answers where something goes wrong."""


class ListenBrainzError(Exception):
    """A request is refused: `status` is that of HTTP, `message` says what was seen and what is expected."""

    def __init__(self, status: int, message: str, retry_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_s = retry_s
