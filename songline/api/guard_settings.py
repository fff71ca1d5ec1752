"""Whether the API asks for tokens, whose tokens are good, and what is open without one."""

from collections.abc import Mapping

from msgspec import Struct

from songline.api.operations import Group
from songline.cloud.settings import SettingError
from songline.identity.settings import ISSUER, VerifierSettings

AUTH = "SONGLINE_AUTH"
OPEN = "SONGLINE_OPEN"


class GuardSettings(Struct, frozen=True):
    """Whose tokens are good, and the groups of operations that need none."""

    verifier: VerifierSettings
    open: frozenset[Group] = frozenset()

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "GuardSettings | None":
        """The settings in `environ`; None where it turns tokens off. Raises SettingError."""
        opened = read_open(environ)
        match environ.get(AUTH, ""):
            case "" | "on":
                pass
            case "off":
                return None
            case seen:
                raise SettingError(AUTH, repr(seen[:100]), "on or off")
        if not environ.get(ISSUER):
            raise SettingError(
                ISSUER,
                "nothing",
                f"the address of the issuer of access tokens, which the API asks for; or {AUTH}=off, with which "
                "everything that the API offers is open to everybody who reaches it",
            )
        return cls(VerifierSettings.read(environ), opened)


def read_open(environ: Mapping[str, str]) -> frozenset[Group]:
    """The groups of SONGLINE_OPEN, with commas between; raises SettingError."""
    names = [name.strip() for name in environ.get(OPEN, "").split(",") if name.strip()]
    for name in names:
        if name not in list(Group):
            raise SettingError(OPEN, repr(name[:100]), f"some of {', '.join(Group)}, with commas between")
    return frozenset(map(Group, names))
