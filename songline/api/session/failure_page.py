"""The page for a sign-in that failed: what happened, and what to do."""

from collections.abc import Sequence
from html import escape

from starlette.responses import HTMLResponse, Response

from songline.api.session import paths
from songline.api.session.sign_in import SignInFailure
from songline.projections.http.pages import HEADERS

_AGAIN = "Sign in again."
_LATER = "Try again in a moment. If that does not help, tell who runs this API; its log has the cause."

_WORDS: dict[SignInFailure, tuple[int, str, str]] = {
    SignInFailure.NOT_BEGUN: (
        400,
        "This sign-in was not begun here",
        f"This browser has begun no sign-in, has finished it already, or takes no cookies. {_AGAIN}",
    ),
    SignInFailure.OVER: (400, "This sign-in took too long", f"A sign-in is good for ten minutes. {_AGAIN}"),
    SignInFailure.OTHER_BROWSER: (
        400,
        "This answer is for another sign-in",
        f"It was begun in another browser, or another one was begun in this browser since. {_AGAIN}",
    ),
    SignInFailure.OTHER_ISSUER: (
        400,
        "This answer is not of the expected issuer",
        f"Somebody else sent this browser here: you are not signed in. {_AGAIN}",
    ),
    SignInFailure.CANCELLED: (200, "You are not signed in", "The sign-in was cancelled."),
    SignInFailure.REFUSED: (502, "The issuer refuses to sign anybody in here", _LATER),
    SignInFailure.NO_CODE: (400, "The issuer's answer has no code", _AGAIN),
    SignInFailure.CODE_REFUSED: (400, "This sign-in is over", f"Its code was used before, or is too old. {_AGAIN}"),
    SignInFailure.ISSUER_AWAY: (503, "Nobody can sign in now", f"The issuer does not answer. {_LATER}"),
    SignInFailure.UNFIT_TOKENS: (502, "The issuer's tokens are not for this API", _LATER),
    SignInFailure.TOO_LARGE: (502, "The issuer's tokens are too large", _LATER),
    SignInFailure.NOT_OFFERED: (404, "This API signs nobody in", "It is not set up as a client of an issuer."),
}


def failure_page(failure: SignInFailure, cookies: Sequence[str] = ()) -> Response:
    """The page as a response, with headers Set-Cookie."""
    status, title, text = _WORDS[failure]
    again = f'<a class="button main" href="{paths.SIGN_IN}">Sign in</a> ' if failure.may_be_repeated else ""
    made = HTMLResponse(_document(title, text, again), status, {**HEADERS, "Cache-Control": "no-store"})
    if status == 503:
        made.headers["Retry-After"] = "5"
    for one in cookies:
        made.headers.append("Set-Cookie", one)
    return made


def _document(title: str, text: str, again: str) -> str:
    styles = "".join(
        f'<link rel="stylesheet" href="/assets/style/{name}.css">' for name in ("theme", "base", "frame", "parts")
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} · Songline</title>"
        f'<link rel="icon" href="/assets/mark.svg" type="image/svg+xml">{styles}'
        f'</head><body><main id="main"><h1>{escape(title)}</h1><p class="lead">{escape(text)}</p>'
        f'<p>{again}<a class="button" href="/">Go to the page</a></p></main></body></html>'
    )
