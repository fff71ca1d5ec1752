"""What the API and the commands read in place of a setting that is needed and wrong, to find those behind it."""

from collections.abc import Mapping

from songline.api.guard_settings import AUTH
from songline.api.session.session_key import SESSION_KEY
from songline.api.session.settings import PAGE_CLIENT_SECRET, PAGE_CLIENT_SECRET_FILE, PAGE_URL
from songline.cloud.wrong_settings import STAND_INS
from songline.identity.settings import AUDIENCE, CLIENT_ID, CLIENT_SECRET_FILE, ISSUER


def stand_ins(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Those for the environment `environ`."""
    return {
        **STAND_INS,
        ISSUER: "https://stand-in.invalid",
        AUDIENCE: "none",
        CLIENT_ID: "none",
        CLIENT_SECRET_FILE: __file__,
        # Who wrote it wrongly and names no issuer wants no tokens.
        AUTH: "on" if environ.get(ISSUER) else "off",
        PAGE_URL: "https://stand-in.invalid",
        PAGE_CLIENT_SECRET: "none",
        # A file that is there and has something in it.
        PAGE_CLIENT_SECRET_FILE: __file__,
        # 32 bytes, so that none is made.
        SESSION_KEY: "A" * 43,
    }
