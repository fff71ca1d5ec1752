"""A file that can't become a song, with a reason that its owner understands."""

from songline.schemas.ingestions import Cause, Reason


class InvalidAudioError(Exception):
    """The file is refused for cause. Its owner must bring another one; trying this one again is of no use."""

    def __init__(self, cause: Cause, text: str) -> None:
        super().__init__(f"{cause}: {text}")
        self.reason = Reason(cause=cause, text=text)


def cut_off(promised: int, length: int) -> InvalidAudioError:
    return InvalidAudioError(
        "cut-off",
        f"The file is cut off: its header promises at least {promised} bytes and there are {length}. Send it whole.",
    )
