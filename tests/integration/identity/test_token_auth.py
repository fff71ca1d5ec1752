"""Commands and their tokens: an API that only notes and judges tokens, and localcloud's issuer."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import jwt
import pytest

from songline.cli import main
from songline.identity.settings import (
    CLIENT_ID,
    CLIENT_SECRET,
    CLIENT_SECRET_FILE,
    ISSUER,
    TOKEN,
    TOKEN_FILE,
    TOKEN_SCOPE,
)
from songline.identity.token_auth import TokenAuth, TokenRefusedError
from songline.identity.token_source import token_source
from songline.processes.environment import API, DATA
from tests.support.localcloud import LocalCloud

Run = Callable[..., tuple[int, str]]
SETTINGS = (ISSUER, CLIENT_ID, CLIENT_SECRET, CLIENT_SECRET_FILE, TOKEN, TOKEN_FILE, TOKEN_SCOPE)
CHART = ("chart", "top", "1h", "--json")


class JudgingApi:
    """An API on loopback that answers every GET with `{}`, and 401 to a token that `takes` refuses."""

    def __init__(self) -> None:
        self.seen: list[str | None] = []
        """The Authorization header of each request, in order."""
        self.takes: Callable[[str | None], bool] = lambda token: token is not None
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                self.rfile.read(length)
                shown = self.headers["Authorization"]
                api.seen.append(shown)
                body = b"{}" if api.takes(shown) else b'{"detail": "No."}'
                self.send_response(200 if api.takes(shown) else 401)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def tokens(self) -> list[str]:
        return [each.removeprefix("Bearer ") for each in self.seen if each is not None]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    cloud = LocalCloud(tmp_path_factory.mktemp("shown"), ["--only", "identity"]).start()
    yield cloud
    cloud.stop()


@pytest.fixture
def api() -> Iterator[JudgingApi]:
    api = JudgingApi()
    yield api
    api.close()


@pytest.fixture
def identity(cloud: LocalCloud) -> dict[str, str]:
    """The settings of the client of the tests."""
    secret = cloud.data / "identity" / "secrets" / "songline-cli"
    return {ISSUER: cloud.issuer, CLIENT_ID: "songline-cli", CLIENT_SECRET_FILE: str(secret)}


@pytest.fixture
def run(
    api: JudgingApi,
    identity: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Runs a command: its exit code and what it says. Keyword arguments are settings."""

    def command(*arguments: str, **settings: str) -> tuple[int, str]:
        monkeypatch.setenv(DATA, str(tmp_path))
        monkeypatch.setenv(API, api.address)
        for name in SETTINGS:
            monkeypatch.setenv(name, settings.get(name, identity.get(name, "")))
        with pytest.raises(SystemExit) as end:
            main(list(arguments))
        said = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, said.out + said.err

    return command


def claims(token: str) -> tuple[str, str]:
    """The subject and the scopes of a token."""
    found = jwt.decode(token, options={"verify_signature": False})
    return found["sub"], found["scope"]


@pytest.mark.parametrize(
    ("command", "subject", "scopes"),
    [
        (CHART, "songline-cli", "charts:read"),
        (("songs", "--json"), "songline-cli", "charts:read"),
        (("library", "user-7", "--json"), "user-7", "library:read"),
        (("ingestion", "i-1", "--json"), "songline-cli", "songs:write admin"),
    ],
    ids=lambda part: str(part[0]),
)
def test_a_command_shows_a_token_that_allows_no_more_than_it_needs(
    run: Run, api: JudgingApi, command: tuple[str, ...], subject: str, scopes: str
) -> None:
    assert run(*command)[0] == 0
    assert [claims(token) for token in api.tokens] == [(subject, scopes)]


def test_an_upload_is_the_uploader_s(run: Run, api: JudgingApi, tmp_path: Path) -> None:
    (tmp_path / "song.mp3").write_bytes(b"no audio")
    run("upload", str(tmp_path / "song.mp3"), "--user", "user-7", "--patience", "0")
    assert {claims(token) for token in api.tokens} == {("user-7", "songs:write")}


def test_the_scopes_that_an_issuer_wants_are_a_setting(run: Run, api: JudgingApi) -> None:
    run(*CHART, **{TOKEN_SCOPE: "charts:read library:read"})
    assert claims(api.tokens[0])[1] == "charts:read library:read"


def test_a_token_that_is_given_goes_before_the_issuer_s(run: Run, api: JudgingApi, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("of-file\n")
    run(*CHART, **{TOKEN: "of-variable"})
    run(*CHART, **{TOKEN_FILE: str(file)})
    run(*CHART, "--token-file", str(file), **{TOKEN: "of-variable"})
    assert api.tokens == ["of-variable", "of-file", "of-file"]


def test_a_refused_token_is_replaced_once(run: Run, api: JudgingApi) -> None:
    api.takes = lambda token: len(set(api.seen)) > 1
    assert run(*CHART)[0] == 0
    assert len(set(api.tokens)) == 2
    api.seen.clear()
    api.takes = lambda token: False
    code, said = run(*CHART)
    assert (code, len(api.seen)) == (2, 2)
    assert f"{api.address} does not take the token of its issuer: it has expired" in said


def test_an_open_api_is_asked_without_a_token_where_there_is_none(run: Run, api: JudgingApi) -> None:
    api.takes = lambda token: True
    for settings in ({ISSUER: ""}, {ISSUER: "http://127.0.0.1:9"}, {CLIENT_SECRET: "guessed"}):
        assert run(*CHART, **settings)[0] == 0
    assert api.seen == [None, None, None]


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        ({ISSUER: ""}, 2, f"asks for an access token, and there is none: {ISSUER}: saw nothing, expected the address"),
        ({ISSUER: "http://127.0.0.1:9"}, 3, "http://127.0.0.1:9/.well-known/openid-configuration can't be reached"),
        ({CLIENT_ID: ""}, 2, f"{CLIENT_ID}: saw nothing, expected the name of a client"),
        ({CLIENT_SECRET: "guessed"}, 2, "there is none: the issuer refuses, invalid_client"),
        ({TOKEN: "guessed"}, 2, f"does not take the token in {TOKEN}: it has expired, or is for another audience"),
        ({TOKEN: "guessed words"}, 2, f"{TOKEN}: saw 13 characters that are no token"),
    ],
)
def test_why_there_is_no_token_is_said(
    run: Run, api: JudgingApi, settings: dict[str, str], code: int, said: str
) -> None:
    api.takes = lambda token: False
    found, errors = run(*CHART, **settings)
    assert found == code, errors
    assert said in errors
    assert "guessed" not in errors
    assert "Traceback" not in errors


def test_a_running_system_s_client_is_not_shown_to_an_api_elsewhere(
    run: Run, api: JudgingApi, identity: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {API: "http://127.0.0.1:9", **identity}
    (tmp_path / "songline.env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    for name in (API, *SETTINGS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(DATA, str(tmp_path))
    with pytest.raises(SystemExit):
        main([*CHART, "--api", api.address])
    assert api.seen == [None]
    settings[API] = api.address.replace("127.0.0.1", "localhost")
    (tmp_path / "songline.env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    with pytest.raises(SystemExit):
        main([*CHART, "--api", f"{api.address}/"])
    assert api.seen[1] is not None


async def test_requests_at_once_fetch_one_token(api: JudgingApi, identity: dict[str, str]) -> None:
    auth = TokenAuth(token_source(identity))
    async with httpx.AsyncClient(base_url=api.address, auth=auth, trust_env=False, timeout=60) as http:
        await asyncio.gather(*(http.get("/v1/songs") for _ in range(8)))
    assert (len(api.tokens), len(set(api.tokens))) == (8, 1)


async def test_what_can_be_read_once_is_not_sent_again_and_the_next_has_another_token(
    api: JudgingApi, identity: dict[str, str]
) -> None:
    api.takes = lambda token: len(set(api.seen)) > 1
    auth = TokenAuth(token_source(identity))

    async def pieces() -> AsyncIterator[bytes]:
        yield b"piece"

    async with httpx.AsyncClient(base_url=api.address, auth=auth, trust_env=False, timeout=60) as http:
        with pytest.raises(TokenRefusedError):
            await http.post("/v1/songs", content=pieces(), headers={"Content-Length": "5"})
        answer = await http.post("/v1/songs", content=pieces(), headers={"Content-Length": "5"})
        assert answer.status_code == 200


def test_a_token_goes_over_https_or_on_this_machine_only(identity: dict[str, str]) -> None:
    seen: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("Authorization"))
        return httpx.Response(200 if seen[-1] else 401)

    with httpx.Client(transport=httpx.MockTransport(answer), auth=TokenAuth(token_source(identity))) as client:
        with pytest.raises(TokenRefusedError, match=r"^http://api\.example asks .* sent over HTTPS only"):
            client.get("http://user:word@api.example/v1/songs", params={"q": "x"}, auth=client.auth)
        for address in ("https://api.example/", "http://localhost:8000/", "http://[::1]:8000/"):
            client.get(address)
    assert [each is not None for each in seen] == [False, True, True, True]
