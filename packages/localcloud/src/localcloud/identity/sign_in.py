"""The authorization endpoint: users of trusted browsers sign in."""

import re
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from localcloud.identity import discovery, sign_in_page
from localcloud.identity.authorization_codes import AuthorizationGrant
from localcloud.identity.authorization_request import ReturnAddress, granted_scopes, read_request, read_return
from localcloud.identity.config import NAME_PATTERN, IdentityConfig
from localcloud.identity.errors import OAuthError, UnknownReturnError, seen
from localcloud.identity.http_answers import page, read_body, unwritten
from localcloud.identity.parameters import Parameters, read_parameters
from localcloud.identity.token_endpoint import TokenEndpoint, new_secret
from localcloud.identity.trusted_browsers import TRUST_S, TrustedBrowsers

SIGN_IN = "/sign-in"
_NAME = re.compile(NAME_PATTERN)


class SignInEndpoints:
    """The authorization endpoint and its pages. They carry the whole request, so nothing is kept for it."""

    def __init__(
        self,
        config: IdentityConfig,
        tokens: TokenEndpoint,
        browsers: TrustedBrowsers,
        issuer: Callable[[], str],
        now_s: Callable[[], float],
    ) -> None:
        self._config = config
        self._tokens = tokens
        self._browsers = browsers
        self._issuer = issuer
        self._now_s = now_s

    async def ask(self, request: Request) -> Response:
        return await self._answered(request, None)

    async def signed_in(self, request: Request) -> Response:
        try:
            form = read_parameters(await read_body(request))
        except OAuthError as error:
            return page(sign_in_page.refusal_page(error.description), error.status)
        return await self._answered(request, form)

    async def trust(self, request: Request) -> Response:
        """The address that carries the code: the browser that opens it is trusted, and goes to the client's sign-in."""
        try:
            parameters = read_parameters(request.url.query)
        except OAuthError as error:
            return page(sign_in_page.refusal_page(error.description), error.status)
        client = self._config.clients.get(parameters.get("client_id", ""))
        begins = None if client is None else client.initiate_login_uri
        # HEAD is of those who look where a link leads; the code is not for them.
        token = None
        if not self._is_trusted(request) and request.method == "GET":
            try:
                token = self._browsers.trust(parameters.get("code", ""), self._now_s())
            except OSError as error:
                return unwritten(error)
            if token is None:
                said = f"code: saw another one than the one in {self._browsers.code_file}; each is good once"
                return page(sign_in_page.refusal_page(said), 403)
        if begins is None:
            return self._with_trust(page(sign_in_page.trusted_page(), 200), token)
        return self._with_trust(RedirectResponse(begins, 303, sign_in_page.headers()), token)

    def _is_trusted(self, request: Request) -> bool:
        return self._browsers.knows(request.cookies.get(self._cookie), self._now_s())

    @property
    def _cookie(self) -> str:
        # A browser sends a cookie to all ports of a host, where another localcloud may listen.
        return f"localcloud-browser-{urlsplit(self._issuer()).port}"

    def _with_trust(self, answer: Response, token: str | None) -> Response:
        if token is not None:
            answer.set_cookie(self._cookie, token, max_age=TRUST_S, httponly=True, samesite="lax")
        return answer

    def _untrusted(self, request: Request, back: ReturnAddress, parameters: Parameters, form: Parameters) -> Response:
        """What a browser gets that is not trusted: the page that asks for the code, or trust for the right one."""
        query, shown = urlencode(parameters), form.get("browser_code")
        if shown is not None:
            try:
                token = self._browsers.trust(shown, self._now_s())
            except OSError as error:
                return unwritten(error)
            if token is not None:
                again = RedirectResponse(f"{discovery.AUTHORIZE}?{query}", 303, sign_in_page.headers())
                return self._with_trust(again, token)
        asks = sign_in_page.code_page(
            f"{SIGN_IN}?{query}", back.client.client_id, str(self._browsers.code_file), shown is not None
        )
        return page(asks, 200 if request.url.path == discovery.AUTHORIZE else 403, back.redirect_uri)

    async def _answered(self, request: Request, form: Parameters | None) -> Response:
        """The page; or with a `form` of it, the way back to the client."""
        try:
            # What the page was made of stays in the query of its form's address.
            posted = form is None and request.method == "POST"
            parameters = read_parameters(await read_body(request) if posted else request.url.query)
            back = read_return(self._config.clients, parameters)
        except OAuthError as error:
            return page(sign_in_page.refusal_page(error.description), error.status)
        except UnknownReturnError as error:
            return page(sign_in_page.refusal_page(str(error)), 400)
        try:
            asked = read_request(self._config, back.client, parameters)
            if "cancel" not in (form or {}) and not self._is_trusted(request):
                return self._untrusted(request, back, parameters, form or {})
            if form is None:
                action = f"{SIGN_IN}?{urlencode(parameters)}"
                shown = sign_in_page.page(action, back.client.client_id, asked.scopes, self._config.users, asked.hint)
                return page(shown, 200, back.redirect_uri)
            if "cancel" in form:
                raise OAuthError("access_denied", "the user cancelled")
        except OAuthError as error:
            return self._to(back, {"error": error.code, "error_description": error.description})
        user = form.get("user", "").strip()
        if not _NAME.fullmatch(user):
            return page(sign_in_page.refusal_page(f"user: saw {seen(user)}, expected {NAME_PATTERN}"), 400)
        grant = AuthorizationGrant(
            back.client.client_id,
            back.redirect_uri,
            user,
            granted_scopes(self._config, back.client, user, asked.scopes),
            asked.challenge,
            asked.nonce,
            self._now_s(),
            family=new_secret(),
        )
        return self._to(back, {"code": self._tokens.codes.issue(grant)})

    def _to(self, back: ReturnAddress, answer: dict[str, str]) -> Response:
        # 303: a browser that sent a form asks for the next page, and does not send the form on.
        return RedirectResponse(back.to(self._issuer(), answer), 303, sign_in_page.headers(back.redirect_uri))
