"""What the issuer's endpoints share: reading forms, and answers of errors and pages."""

import logging
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from localcloud.identity import sign_in_page
from localcloud.identity.errors import OAuthError
from localcloud.identity.parameters import MAX_BODY_BYTES

logger = logging.getLogger(__name__)

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


async def read_body(request: Request) -> str:
    """The body of a form. Raises OAuthError for one that is too large or no text."""
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > MAX_BODY_BYTES:
            raise OAuthError("invalid_request", f"the body is too large; expected at most {MAX_BODY_BYTES} bytes", 413)
    try:
        return parts.decode("utf-8")
    except UnicodeDecodeError:
        raise OAuthError("invalid_request", "the body is no text; expected UTF-8, percent-encoded") from None


def refusal(error: OAuthError) -> Response:
    headers = dict(NO_STORE)
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="localcloud"'
    content: dict[str, Any] = {"error": error.code, "error_description": error.description}
    return JSONResponse(content, error.status, headers)


def unwritten(error: OSError) -> Response:
    logger.error("the issuer can't write %s: %s", error.filename, error.strerror)
    return refusal(OAuthError("temporarily_unavailable", "what belongs to a token could not be written", 503))


def page(content: str, status: int, redirect_uri: str | None = None) -> Response:
    return HTMLResponse(content, status, sign_in_page.headers(redirect_uri))
