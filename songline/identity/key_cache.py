"""When an issuer's keys are asked for again: a state machine without a clock of its own."""

import jwt
from msgspec import Struct

from songline.identity.key_set import KeySet

FRESH_S = 3_600
"""Keys are asked for again after so long: a key that the issuer withdrew is not believed for much longer."""
KEPT_S = 86_400
"""Keys are believed for so long while the issuer does not answer."""
BETWEEN_S = 10
"""Time between two requests for keys, however many tokens name keys that nobody knows."""


class KeyCache(Struct, frozen=True):
    """The keys that were read last, at `read_s`, and when they were asked for last, at `asked_s` (unix seconds)."""

    keys: KeySet = {}
    read_s: float | None = None
    asked_s: float | None = None

    def is_due(self, kid: str, now_s: float) -> bool:
        """Whether the keys are to be asked for before `kid` is looked up."""
        if self.asked_s is not None and 0 <= now_s - self.asked_s < BETWEEN_S:
            return False
        return kid not in self.keys or self.read_s is None or not 0 <= now_s - self.read_s < FRESH_S

    def is_usable(self, now_s: float) -> bool:
        """Whether the keys may be believed: else nobody's token can be checked."""
        return self.read_s is not None and now_s - self.read_s < KEPT_S

    @property
    def failed(self) -> bool:
        """Whether the issuer did not answer when it was asked last."""
        return self.asked_s != self.read_s

    def after_answer(self, keys: KeySet, now_s: float) -> "KeyCache":
        """The keys that were read. One that has not changed stays the same object: what it signed was checked."""
        return KeyCache({kid: self._known(kid, key) for kid, key in keys.items()}, now_s, now_s)

    def after_failure(self, now_s: float) -> "KeyCache":
        return KeyCache(self.keys, self.read_s, now_s)

    def _known(self, kid: str, key: jwt.PyJWK) -> jwt.PyJWK:
        known = self.keys.get(kid)
        is_same = known is not None and known.algorithm_name == key.algorithm_name and known.key == key.key
        return known if known is not None and is_same else key
