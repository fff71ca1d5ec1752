"""The pages: the dashboard at `/`, the API's documents at `/docs` and `/docs/events`. None uses another host."""

from pathlib import Path
from string import Template

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from songline.schemas import publish

DASHBOARD = Path(__file__).parents[1] / "dashboard"
ASSETS = "/docs/assets"
# A title or a file name can't run a script, even if the page fails to escape it.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; media-src 'self' blob:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
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
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Songline API",
            swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{ASSETS}/swagger-ui.css",
            swagger_favicon_url="/assets/mark.svg",
            # Swagger UI would send the document's address to a validator on another host.
            swagger_ui_parameters={"validatorUrl": None},
        )

    # The files come from a Python package, so that the page works without Internet access.
    app.mount(ASSETS, StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static"))
    app.mount("/assets", Assets(directory=DASHBOARD))
