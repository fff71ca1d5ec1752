"""How many bytes of files a caller uploads: a bucket that holds what one may upload in a day.

What was taken for an upload that is not accepted comes back, so nobody pays for what broke off.
"""

import math
from collections.abc import Callable

from starlette.types import Scope

from songline.api.caller_table import CallerTable
from songline.api.limit_settings import UPLOAD_BYTES
from songline.api.rate_bucket import BucketPolicy, Drawn
from songline.producers.http.problems import RequestDeclinedError
from songline.schemas.refusal_note import UPLOAD_BYTES as REFUSED_BYTES
from songline.schemas.refusal_note import note_of

QUOTA = "upload-bytes"


class UploadBytes:
    """The bytes that the caller `name` of a request may upload; a ByteAllowance. `steady` gives seconds."""

    def __init__(
        self, scope: Scope, table: CallerTable, name: str, policy: BucketPolicy, steady: Callable[[], float]
    ) -> None:
        self._scope, self._table, self._name, self._steady = scope, table, name, steady
        self.policy = policy
        self.drawn: Drawn = table.draw(name, policy, steady(), 0)

    def take(self, size: int, whole: int) -> None:
        """Take bytes of an upload. Raises RequestDeclinedError."""
        if whole > self.policy.burst:
            note_of(self._scope).reason = REFUSED_BYTES
            detail = f"saw an upload of {whole} bytes, expected at most {self.policy.burst} in a day: send less."
            raise RequestDeclinedError(413, "More than one may upload in a day", self._detail(detail))
        now_s = self._steady()
        self.drawn = self._table.draw(self._name, self.policy, now_s, size)
        if not self.drawn.allowed:
            note_of(self._scope).reason = REFUSED_BYTES
            wait_s = self._table.wait_s(self._name, self.policy, now_s, size)
            detail = (
                f"saw {size} bytes more, and {self.drawn.remaining} of the {self.policy.burst} of a day are left. They "
                f"come back little by little: send it again in {_words(wait_s)}."
            )
            raise RequestDeclinedError(429, "Uploaded too much", self._detail(detail), wait_s)

    def give_back(self, size: int) -> None:
        """Give bytes back."""
        self.drawn = self._table.give_back(self._name, self.policy, self._steady(), size)

    def _detail(self, text: str) -> str:
        return f"{self._name}: {text} {UPLOAD_BYTES} sets the limit."


def _words(wait_s: int) -> str:
    for unit, seconds in (("hours", 3_600), ("minutes", 60)):
        if wait_s >= 2 * seconds:
            return f"{math.ceil(wait_s / seconds)} {unit}"
    return f"{wait_s} s"
