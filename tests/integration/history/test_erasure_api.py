"""Erasure and access over HTTP: off by default, the same requests as the commands where they are on."""

import asyncio
import json
import time

import httpx
import pytest
from starlette.types import Message

from songline.api import erasure_setting
from songline.api.app import ApiSettings, compose
from songline.api.guard_settings import AUTH
from songline.cloud.settings import SettingError
from songline.processors.history.as_of.answers import FoldFailure, LibraryQuestion
from songline.processors.history.as_of.process import BEING_FORGOTTEN, answer
from tests.support.erasure import ErasureSystem, events_of

USER = "emma-6"
CAPTURE = ("--capture-interval", "900")
"""An erasure waits for Capture for as long as a test lasts."""


def client(system: ErasureSystem, **settings: str) -> httpx.AsyncClient:
    app = compose(ApiSettings.read({**system.app.environment, AUTH: "off", **settings}))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000", timeout=60)


async def test_an_erasure_is_asked_for_shown_and_taken_back(system: ErasureSystem) -> None:
    await system.tell(*events_of(USER))
    async with client(system, SONGLINE_ERASURES="on") as http:
        lines = (await http.get(f"/v1/listeners/{USER}/export")).text.splitlines()
        assert json.loads(lines[-1]) == {"records": len(lines) - 1}
        assert len(lines) - 1 == len(events_of(USER)), "the hub and the archive have them, nothing is applied yet"
        asked = await http.post(f"/v1/listeners/{USER}/erasure", json={"songs": "keep"})
        assert asked.status_code == 202, asked.text
        assert USER not in asked.text
        where = asked.headers["Location"]
        assert (await http.get(where)).json() == asked.json()
        assert (await http.post(f"{where}/undo")).json()["state"] == "undone"
        later = (await http.post(f"/v1/listeners/{USER}/erasure", json={"songs": "keep", "undoWindowS": 0})).json()
        await system.apply()
        await system.eraser("worker").round()
        running = await answer(LibraryQuestion(int(time.time()) - 5, USER), system.app.environment)
        assert running == FoldFailure(BEING_FORGOTTEN), "the archive still has them"
        late = await http.post(f"/v1/erasures/{later['id']}/undo")
        assert late.status_code == 409, late.text
        for method, path, body, status in (
            ("GET", "/v1/erasures/nothing", None, 404),
            ("POST", "/v1/erasures/nothing/undo", None, 404),
            ("POST", f"/v1/listeners/{USER}/erasure", {"songs": "sell"}, 400),
            ("POST", f"/v1/listeners/{USER}/erasure", {}, 400),
            ("POST", f"/v1/listeners/{USER}/erasure", {"songs": "keep", "undoWindowS": -1}, 400),
            ("POST", f"/v1/listeners/{USER}/erasure", {"songs": "keep", "more": 1}, 400),
            ("POST", f"/v1/listeners/forgotten:{'0' * 32}/erasure", {"songs": "keep"}, 400),
        ):
            refused = await http.request(method, path, json=body)
            assert refused.status_code == status, refused.text
            assert refused.headers["Content-Type"] == "application/problem+json"


async def test_one_export_of_a_listener_is_under_way_at_a_time(system: ErasureSystem) -> None:
    await system.tell(*events_of(USER))
    async with client(system, SONGLINE_ERASURES="on") as http:
        app = http._transport.app  # type: ignore[attr-defined]
        is_begun, goes_on, path = asyncio.Event(), asyncio.Event(), f"/v1/listeners/{USER}/export"

        async def receive() -> Message:
            await goes_on.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.body":
                is_begun.set()
                # As one who does not read what is sent.
                await goes_on.wait()

        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1")],
            "client": ("127.0.0.1", 1),
        }
        reading = asyncio.create_task(app(scope, receive, send))
        await asyncio.wait_for(is_begun.wait(), 120)
        refused = await http.get(path)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "30")
        assert "one at a time" in refused.json()["detail"]
        goes_on.set()
        await reading
        assert (await http.get(path)).status_code == 200


async def test_an_export_that_is_asked_with_head_has_left_its_place_when_it_is_answered(system: ErasureSystem) -> None:
    await system.tell(*events_of(USER))
    async with client(system, SONGLINE_ERASURES="on") as http:
        app, path = http._transport.app, f"/v1/listeners/{USER}/export"  # type: ignore[attr-defined]
        statuses: list[int] = []

        async def receive() -> Message:
            await asyncio.Event().wait()
            raise AssertionError("nothing is received")

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                # As one who asks again with the headers in hand: a HEAD is answered by them alone.
                statuses.extend((message["status"], (await http.get(path)).status_code))

        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "HEAD",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1")],
            "client": ("127.0.0.1", 1),
        }
        await app(scope, receive, send)
        assert statuses == [200, 200]


async def test_it_is_off_unless_a_setting_turns_it_on(system: ErasureSystem) -> None:
    async with client(system) as http:
        for path in ("/v1/erasures/nothing", f"/v1/listeners/{USER}/export"):
            assert (await http.get(path)).status_code == 404
        assert (await http.post(f"/v1/listeners/{USER}/erasure", json={"songs": "keep"})).status_code == 404


def test_a_wrong_setting_is_named() -> None:
    with pytest.raises(SettingError, match="SONGLINE_ERASURES"):
        erasure_setting.read({"SONGLINE_ERASURES": "yes"})
