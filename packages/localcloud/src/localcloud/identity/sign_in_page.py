"""The sign-in page: the user of this machine says who they are, by one click."""

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from urllib.parse import urlsplit

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:24rem;margin:4rem auto;padding:0 1rem;color-scheme:light dark}"
    "code{overflow-wrap:anywhere}"
    "button,input{font:inherit;padding:.5rem .75rem;margin:.25rem 0;width:100%;box-sizing:border-box}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()


def page(action: str, client: str, scopes: Sequence[str], users: Sequence[str], hint: str | None) -> str:
    """The page. `action` is where it sends its form: `user`, or `cancel`."""
    buttons = "".join(
        f'<button name="user" value="{escape(user)}"{" autofocus" if user == hint else ""}>{escape(user)}</button>'
        for user in users
    )
    asked = f"<p>It asks for {escape(', '.join(scopes))}.</p>" if scopes else ""
    return _document(
        "Sign in",
        f"<h1>Sign in to {escape(client)}</h1>{asked}"
        f'<form method="post" action="{escape(action)}">{buttons}</form>'
        f'<form method="post" action="{escape(action)}"><label>Another user <input name="user" required '
        f'maxlength="128" autocomplete="off" value="{escape(hint or "")}"></label><button>Sign in</button></form>'
        f'<form method="post" action="{escape(action)}"><button name="cancel" value="1">Cancel</button></form>'
        "<p>This is localcloud on your own machine: it asks for no password.</p>",
    )


def code_page(action: str, client: str, code_file: str, is_wrong: bool) -> str:
    """The page for a browser that is not trusted yet. `action` is where it sends its form: `browser_code`."""
    wrong = "<p><strong>That is not the code.</strong> Each code is good once.</p>" if is_wrong else ""
    return _document(
        "Trust this browser",
        f"<h1>Sign in to {escape(client)}</h1>{wrong}"
        "<p>localcloud asks for no password, and others may use this machine. Show once that it is yours: the code is "
        f"in <code>{escape(code_file)}</code>, which only the one who started localcloud can read.</p>"
        f'<form method="post" action="{escape(action)}"><label>Code <input name="browser_code" required '
        'maxlength="128" autocomplete="off" spellcheck="false" autofocus></label><button>Continue</button></form>'
        f'<form method="post" action="{escape(action)}"><button name="cancel" value="1">Cancel</button></form>',
    )


def trusted_page() -> str:
    """The page for a browser that is trusted now."""
    return _document("Trusted", "<h1>This browser is trusted</h1><p>It signs in by one click from now on.</p>")


def refusal_page(detail: str) -> str:
    """A page for a request that nobody can be sent back with."""
    return _document("Not a sign-in", f"<h1>Not a sign-in</h1><p>{escape(detail)}</p>")


def headers(redirect_uri: str | None = None) -> dict[str, str]:
    """Headers that keep other pages out. Browsers apply `form-action` to the redirect that answers the form, too."""
    parts = urlsplit(redirect_uri or "")
    target = f" {parts.scheme}://{parts.netloc}" if redirect_uri else ""
    return {
        "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'{target}; "
        "frame-ancestors 'none'; base-uri 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


def _document(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style><main>{body}</main></html>'
    )
