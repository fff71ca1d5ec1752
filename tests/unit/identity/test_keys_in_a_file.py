"""The issuer's keys from a file of this machine: nobody is asked for them."""

from pathlib import Path

import httpx
import pytest

from songline.cloud.settings import SettingError
from songline.identity.caller import Caller, CallerRefusal, RefusalReason
from songline.identity.key_cache import BETWEEN_S
from songline.identity.settings import AUDIENCE, ISSUER, JWKS, VerifierSettings
from songline.identity.verifier import TokenVerifier
from tests.support.tokens import NOW_S, SETTINGS, key_set, token

BEARER = f"Bearer {token('ES256', exp=int(NOW_S) + 1_000)}"


def nobody(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"asked {request.url}")


async def test_keys_are_read_from_the_file_and_nobody_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "a key set.json"
    settings = VerifierSettings(SETTINGS.issuer, SETTINGS.audience, file.as_uri())
    now_s = NOW_S
    async with httpx.AsyncClient(transport=httpx.MockTransport(nobody)) as http:
        verifier = TokenVerifier(settings, http, lambda: now_s)
        # localcloud makes the file with its first token.
        assert await verifier.verify(BEARER) == CallerRefusal(RefusalReason.ISSUER_UNAVAILABLE)
        file.write_bytes(key_set())
        now_s += BETWEEN_S
        assert isinstance(await verifier.verify(BEARER), Caller)
        await verifier.close()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"keys": 1}'])
async def test_a_file_that_holds_no_keys_refuses_everybody(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "jwks.json"
    file.write_bytes(content)
    settings = VerifierSettings(SETTINGS.issuer, SETTINGS.audience, file.as_uri())
    async with httpx.AsyncClient(transport=httpx.MockTransport(nobody)) as http:
        verifier = TokenVerifier(settings, http, lambda: NOW_S)
        assert await verifier.verify(BEARER) == CallerRefusal(RefusalReason.ISSUER_UNAVAILABLE)
        await verifier.close()


@pytest.mark.parametrize(
    "address", ["file:jwks.json", "file://host/jwks.json", "file:///a\n", "http://example.com/keys"]
)
def test_an_address_that_is_no_file_of_this_machine_is_refused(address: str) -> None:
    environ = {ISSUER: "http://127.0.0.1:5302", AUDIENCE: "songline", JWKS: address}
    with pytest.raises(SettingError, match=JWKS):
        VerifierSettings.read(environ)
