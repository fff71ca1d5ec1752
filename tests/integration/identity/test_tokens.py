"""`songline token` over localcloud's issuer, and the verifier that checks what it prints."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from songline.cli import main
from songline.identity.caller import Caller, CallerRefusal, RefusalReason
from songline.identity.key_cache import BETWEEN_S
from songline.identity.scopes import OWN_SCOPES, Scope
from songline.identity.settings import AUDIENCE, CLIENT_ID, CLIENT_SECRET, CLIENT_SECRET_FILE, ISSUER, VerifierSettings
from songline.identity.verifier import TokenVerifier
from tests.support.localcloud import LocalCloud

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    cloud = LocalCloud(tmp_path_factory.mktemp("tokens")).start()
    yield cloud
    cloud.stop()


@pytest.fixture
def run(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `songline token`: exit code, output, errors. Keyword arguments are settings."""

    def token(*arguments: str, **settings: str) -> tuple[int, str, str]:
        for name in (ISSUER, AUDIENCE, CLIENT_ID, CLIENT_SECRET, CLIENT_SECRET_FILE):
            monkeypatch.setenv(name, settings.get(name, cloud.environment.get(name, "")))
        with pytest.raises(SystemExit) as end:
            main(["token", *arguments])
        said = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, said.out, said.err

    return token


@pytest.fixture
async def verifier(cloud: LocalCloud) -> AsyncIterator[TokenVerifier]:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        verifier = TokenVerifier(VerifierSettings.read(cloud.environment), http)
        yield verifier
        await verifier.close()


async def bearer(verifier: TokenVerifier, token: str) -> tuple[str, frozenset[str]]:
    """The subject and the scopes of a token, which is good for an hour."""
    found = await verifier.verify(f"Bearer {token.strip()}")
    assert isinstance(found, Caller), found
    assert 3_000 < found.expires_s - time.time() <= 3_600
    return found.subject, found.scopes


async def test_a_token_is_about_the_client_with_all_its_scopes(run: Run, verifier: TokenVerifier) -> None:
    code, token, _ = run()
    assert code == 0
    assert await bearer(verifier, token) == ("songline-cli", frozenset(Scope))


async def test_a_token_about_a_listener_reaches_their_own(run: Run, verifier: TokenVerifier) -> None:
    _, token, _ = run("--user", "user-7")
    assert await bearer(verifier, token) == ("user-7", frozenset(OWN_SCOPES))


async def test_a_token_has_the_scopes_that_are_asked_for(run: Run, verifier: TokenVerifier) -> None:
    for asked in (("--scope", "admin charts:read"), ("--scope", "admin", "--scope", "charts:read")):
        _, token, _ = run("--user", ".:-_", *asked)
        assert await bearer(verifier, token) == (".:-_", frozenset({"admin", "charts:read"}))


async def test_a_token_for_another_audience_or_of_a_former_key(run: Run, cloud: LocalCloud) -> None:
    _, before, _ = run()
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        here = VerifierSettings.read(cloud.environment)
        other = TokenVerifier(VerifierSettings(here.issuer, "another"), http)
        found = await other.verify(f"Bearer {before.strip()}")
        assert found == CallerRefusal(RefusalReason.AUDIENCE)

        now_s = time.time()
        verifier = TokenVerifier(here, http, lambda: now_s)
        assert isinstance(await verifier.verify(f"Bearer {before.strip()}"), Caller)
        cloud.control("POST", "/signing-keys")
        _, after, _ = run()
        assert await verifier.verify(f"Bearer {after.strip()}") == CallerRefusal(RefusalReason.UNKNOWN_KEY)
        now_s += BETWEEN_S
        for token in (after, before):
            assert isinstance(await verifier.verify(f"Bearer {token.strip()}"), Caller)


@pytest.mark.parametrize(
    ("arguments", "settings", "code", "said"),
    [
        (("--user", "a b"), {}, 2, "saw 'a b', expected 1 to 128 characters"),
        (("--user", ""), {}, 2, "saw '', expected"),
        (("--scope", ""), {}, 2, "expected a scope such as events:write"),
        (("--scope", "a\u00e9"), {}, 2, "expected a scope such as events:write"),
        (("--scope", "songs:delete"), {}, 2, "invalid_scope: scope: saw 'songs:delete', expected some of events:write"),
        ((), {ISSUER: ""}, 2, f"{ISSUER}: saw nothing, expected the address of an issuer"),
        ((), {ISSUER: "http://login.example"}, 2, "HTTP on this machine only"),
        ((), {ISSUER: "http://127.0.0.1:9"}, 3, "can't be reached"),
        ((), {CLIENT_ID: "nobody"}, 2, "invalid_client"),
        ((), {CLIENT_SECRET: "guessed"}, 2, "invalid_client"),
        ((), {CLIENT_SECRET_FILE: "/none"}, 2, "'/none': No such file"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    run: Run, arguments: tuple[str, ...], settings: dict[str, str], code: int, said: str
) -> None:
    found, output, errors = run(*arguments, **settings)
    assert (found, output) == (code, "")
    assert said in errors
    assert "guessed" not in errors
    assert "Traceback" not in errors


def test_the_issuer_of_another_name_is_not_believed(run: Run, cloud: LocalCloud) -> None:
    code, _, errors = run(**{ISSUER: f"http://localhost:{cloud.ports['identity']}"})
    assert code == 2
    assert f"is of the issuer '{cloud.issuer}'" in errors


def test_no_system_is_running(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SONGLINE_DATA", str(tmp_path))
    code, _, errors = run(**{ISSUER: ""})
    assert code == 2
    assert "songline up" in errors
