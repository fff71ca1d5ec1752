"""Which browsers may sign users in: those that have shown a code that only the owner of the data folder can read.

Every user of the machine reaches the issuer's port, and the sign-in page asks for no password.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec

from localcloud.identity.errors import IdentityStateError
from localcloud.private_file import private_folder, write_private
from localcloud.unreadable import UNREADABLE

TRUST_S = 90 * 86_400


class TrustedBrowsers:
    """The browsers that are trusted, in `folder`. The code is in a file there; each is good once, and the next follows.

    Everything may raise OSError.
    """

    def __init__(self, folder: Path, new_code: Callable[[], str] = lambda: secrets.token_urlsafe(18)) -> None:
        """Raises IdentityStateError."""
        private_folder(folder)
        self._code_file = folder / "sign-in-code"
        self._browsers_file = folder / "browsers.json"
        self._new_code = new_code
        self._browsers = _read(self._browsers_file)
        self._code()

    @property
    def code_file(self) -> Path:
        return self._code_file.absolute()

    def trust(self, code: str, now_s: float) -> str | None:
        """What a browser with the right code shows from now on; None for a wrong code."""
        if not hmac.compare_digest(code.strip().encode(), self._code().encode()):
            return None
        # The next code comes first: should this be interrupted, the code was used for nothing and not for two.
        write_private(self._code_file, f"{self._new_code()}\n".encode())
        token = secrets.token_urlsafe(32)
        known = {key: until_s for key, until_s in self._browsers.items() if until_s > now_s}
        known[_hash(token)] = now_s + TRUST_S
        write_private(self._browsers_file, msgspec.json.encode(known))
        self._browsers = known
        return token

    def knows(self, token: str | None, now_s: float) -> bool:
        """Whether a browser that shows `token` is trusted."""
        return token is not None and self._browsers.get(_hash(token), 0.0) > now_s

    def _code(self) -> str:
        """The code as the file has it now; a new one where there is none."""
        try:
            code = self._code_file.read_text("utf-8").strip()
        except (FileNotFoundError, UnicodeDecodeError):
            code = ""
        if not code:
            # An empty code is one that everybody knows.
            code = self._new_code()
            write_private(self._code_file, f"{code}\n".encode())
        return code


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _read(file: Path) -> dict[str, float]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, float])
    except FileNotFoundError:
        return {}
    except UNREADABLE as error:
        raise IdentityStateError(
            f"{file} holds no browsers: {error}. It was changed or damaged; delete it, and browsers show a code again"
        ) from None
