"""The page's client of localcloud's issuer: its redirect URI has the API's port, so `songline up` declares it."""

import json
from pathlib import Path
from urllib.parse import urlencode

from songline.api.session.paths import CALLBACK, SIGN_IN
from songline.api.session.settings import PAGE_CLIENT_ID, PAGE_CLIENT_SECRET_FILE, PAGE_SCOPES, PAGE_URL
from songline.identity.scopes import OWN_SCOPES, Scope
from songline.processes.private_file import write_private

PAGE_CLIENT = "songline-page"
OPERATOR = "operator"
USERS = ("me", "user-7", OPERATOR)
"""The buttons of the sign-in page; any other listener's id can be typed."""
OPERATOR_SCOPES = (Scope.ADMIN, Scope.LIBRARY_READ_ANY)


def write_page_client(data: Path, api: str) -> Path:
    """Write the declaration for the API at the address `api` to the data folder, for its owner alone; return the file.

    Raises OSError.
    """
    declared = {
        "Clients": [
            {
                "ClientId": PAGE_CLIENT,
                "Audience": "songline",
                "GrantTypes": ["authorization_code", "refresh_token"],
                "Scopes": list(OWN_SCOPES),
                "RedirectUris": [f"{api}{CALLBACK}"],
                "InitiateLoginUri": f"{api}{SIGN_IN}",
            }
        ],
        "Users": list(USERS),
        "UserScopes": {OPERATOR: list(OPERATOR_SCOPES)},
    }
    return write_private(data / "page-client.json", json.dumps(declared, indent=2).encode())


def page_settings(data: Path, api: str) -> dict[str, str]:
    """The settings with which the API at the address `api` is that client. localcloud makes the secret."""
    return {
        PAGE_URL: api,
        PAGE_CLIENT_ID: PAGE_CLIENT,
        PAGE_CLIENT_SECRET_FILE: str(data.resolve() / "identity" / "secrets" / PAGE_CLIENT),
        # Users other than the operator grant what is their own alone.
        PAGE_SCOPES: " ".join(("openid", "offline_access", *OWN_SCOPES, *OPERATOR_SCOPES)),
    }


def trust_link(data: Path, issuer: str) -> str | None:
    """The address that lets the browser that opens it sign in, and begins that; None where there is no issuer."""
    try:
        code = (data / "identity" / "sign-in-code").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return f"{issuer}/trust?{urlencode({'client_id': PAGE_CLIENT, 'code': code})}" if issuer else None
