"""Answers are read to their end as long as some come, and what does not come is named."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from songline.audit.answers import ApiAnswers, NoAnswerError

STUCK = "stuck"


async def _ask(ids: list[str], pause_s: float, patience_s: float) -> list[str]:
    """What is said while an API that has no song is asked for songs; it takes so long for each, and for ever for
    STUCK."""

    async def song(request: Request) -> Response:
        await asyncio.sleep(3_600 if request.path_params["song"] == STUCK else pause_s)
        return Response(b"{}", 404)

    said: list[str] = []
    app = Starlette(routes=[Route("/v1/songs/{song}", song)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as http:
        assert await ApiAnswers(http, said.append, patience_s=patience_s, tell_each_s=0.0).songs_of(ids) == {}
    return said


def test_what_takes_longer_than_the_patience_is_read_as_long_as_answers_come() -> None:
    # 60 rounds of 0.1 s each are longer than the 5 s in which one of them has to come.
    said = asyncio.run(_ask([f"song-{number}" for number in range(240)], 0.1, 5.0))
    assert said[0] == "read 1 of 240 songs"
    assert said[-1] == "read 240 of 240 songs"


def test_what_is_not_answered_is_counted() -> None:
    with pytest.raises(NoAnswerError, match=r"2 of 3 songs were answered, and no other within 0\.5 s"):
        asyncio.run(_ask(["song-1", STUCK, "song-2"], 0.0, 0.5))


def test_a_question_that_fails_is_what_is_raised() -> None:
    async def run() -> None:
        app = Starlette(routes=[Route("/v1/songs/{song}", lambda request: Response(b"nonsense"))])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as http:
            await ApiAnswers(http).songs_of(["song-1", "song-2"])

    with pytest.raises(NoAnswerError, match=r"GET /v1/songs/song-.: saw 200, 'nonsense'"):
        asyncio.run(run())
