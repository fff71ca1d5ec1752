"""The pages: the dashboard at `/`, the API's documents at `/docs` and `/docs/events`. None uses another host."""

from pathlib import Path
from string import Template

from fastapi import FastAPI
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from songline.projections.http.browser_headers import BROWSER_HEADERS, CONTENT_POLICY
from songline.schemas import publish

DASHBOARD = Path(__file__).parents[1] / "dashboard"
# A title or a file name can't run a script, even if the page fails to escape it.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; media-src 'self' blob:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    **BROWSER_HEADERS,
    CONTENT_POLICY: POLICY,
    # The browser revalidates at each visit, so that it loads a new version at once.
    "Cache-Control": "no-cache",
}


class Assets(StaticFiles):
    """The static files of the pages, served with HEADERS."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response


def routes(app: FastAPI) -> None:
    """Add the routes of the pages and of their static files."""
    frame = Template((DASHBOARD / "page.html").read_text(encoding="utf-8"))
    dashboard = frame.substitute(title="Songline", script="app.js", instead="/docs")
    reference = (DASHBOARD / "api-docs" / "page.html").read_text(encoding="utf-8")
    events = frame.substitute(title="Events and commands · Songline", script="events.js", instead="/asyncapi.json")

    @app.get("/", include_in_schema=False)
    async def look() -> Response:
        return HTMLResponse(dashboard, headers=HEADERS)

    @app.get("/docs/events", include_in_schema=False)
    async def read() -> Response:
        return HTMLResponse(events, headers=HEADERS)

    @app.get("/asyncapi.json", include_in_schema=False)
    async def asyncapi() -> Response:
        return FileResponse(publish.PUBLISHED / "asyncapi.json", headers={"Cache-Control": "no-cache"})

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return JSONResponse(app.openapi())

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(reference, headers=HEADERS)

    # Swagger UI comes from a Python package, so that the page works without Internet access.
    app.mount("/docs/assets", Assets(directory=DASHBOARD / "api-docs", packages=[("fastapi_offline", "static")]))
    app.mount("/assets", Assets(directory=DASHBOARD))
