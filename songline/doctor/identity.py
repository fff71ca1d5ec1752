"""Whether callers have to show who they are, and whether their issuer answers."""

from collections.abc import Iterator, Mapping

import httpx
from msgspec import Struct

from songline.api.guard_settings import AUTH
from songline.cloud.settings import SettingError
from songline.doctor.finding import Finding
from songline.identity.discovery import DiscoveryError, discovery_address, read_metadata
from songline.identity.key_cache import FRESH_S, KEPT_S
from songline.identity.key_set import KeySetError, read_key_set
from songline.identity.settings import ISSUER, read_issuer
from songline.processes.environment import API
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError
from songline.schemas.identity_health import PATH, IdentityHealth

PAGE = "docs/identity.md"
CHECK = "issuer of tokens"

_answers = Decoder(IdentityHealth, "not-an-answer")


class IdentityFacts(Struct, frozen=True):
    """`api` is what the API says of itself, None where it does not. `is_off`: the settings here turn tokens off. The
    `issuer` is that of the settings, with its number of `keys`, or why they can't be read (`problem`)."""

    api: IdentityHealth | None = None
    is_off: bool = False
    issuer: str | None = None
    keys: int = 0
    problem: str = ""


async def ask_identity(environ: Mapping[str, str], patience_s: float) -> IdentityFacts:
    """The facts about the API and the issuer that `environ` names."""
    async with httpx.AsyncClient(timeout=patience_s, trust_env=False) as http:
        api = await _api(http, environ.get(API, ""))
        facts = IdentityFacts(api=api, is_off=environ.get(AUTH) == "off")
        if not environ.get(ISSUER):
            return facts
        try:
            issuer = read_issuer(environ)
            keys = await _keys(http, issuer)
        except (SettingError, httpx.HTTPError, httpx.InvalidURL, DiscoveryError, KeySetError) as error:
            problem = str(error) or type(error).__name__
            return IdentityFacts(api=api, is_off=facts.is_off, issuer=environ[ISSUER], problem=problem)
        return IdentityFacts(api=api, is_off=facts.is_off, issuer=issuer, keys=keys)


async def _api(http: httpx.AsyncClient, base: str) -> IdentityHealth | None:
    try:
        answer = await http.get(f"{base}{PATH}") if base else None
        return None if answer is None or answer.status_code != 200 else _answers.decode(answer.content)
    except (httpx.HTTPError, httpx.InvalidURL, PoisonError):
        # The finding about the API's health says why.
        return None


async def _keys(http: httpx.AsyncClient, issuer: str) -> int:
    document = await _get(http, discovery_address(issuer))
    return len(read_key_set(await _get(http, read_metadata(issuer, document).jwks_uri)))


async def _get(http: httpx.AsyncClient, url: str) -> bytes:
    answer = await http.get(url)
    if answer.status_code != 200:
        raise KeySetError(f"{url} answered {answer.status_code}")
    return answer.content


def identity_findings(facts: IdentityFacts | None) -> Iterator[Finding]:
    """The findings. Pure."""
    if facts is None:
        return
    api = facts.api
    if api is not None and api.auth == "off":
        yield _off("the API asks for no tokens")
    elif facts.is_off:
        yield _off(f"{AUTH} is off")
    elif facts.issuer is None and api is None:
        yield Finding(
            CHECK,
            "fail",
            f"{ISSUER} is not set, and the API does not start without it",
            f"set it to the address of an issuer, or start `songline up`: see {PAGE}",
        )
    elif facts.problem:
        yield Finding(
            CHECK,
            "fail",
            f"{facts.issuer}: {facts.problem}",
            f"see that it runs and that {ISSUER} is its address to the letter; nobody gets a token meanwhile",
        )
    elif api is not None and facts.issuer is not None and api.issuer != facts.issuer:
        yield Finding(
            CHECK,
            "warn",
            f"the API believes {api.issuer}, and the settings here name {facts.issuer}",
            f"set {ISSUER} here to what the API has: it takes no tokens of another issuer",
        )
    else:
        seen = f"{facts.issuer or (api and api.issuer)}"
        yield Finding(CHECK, "ok", f"{seen}, {facts.keys} keys" if facts.keys else seen)
    if api is not None and api.keys_failed:
        yield _old_keys(api)


def _off(seen: str) -> Finding:
    mend = f"set {ISSUER} and leave {AUTH} out, unless nobody else reaches the API: see {PAGE}"
    return Finding(CHECK, "warn", f"{seen}: everybody who reaches it reads and writes all", mend)


def _old_keys(api: IdentityHealth) -> Finding:
    age_s, check = api.keys_age_seconds, "keys of tokens"
    mend = f"see that the API reaches its issuer {api.issuer}; its log says what went wrong"
    if not api.keys_usable:
        seen = "were never read" if age_s is None else f"are {age_s / FRESH_S:.0f} h old, more than is believed"
        return Finding(check, "fail", f"the API's {seen}: every request with a token gets 503", mend)
    age = f"{(age_s or 0) / 60:.0f} minutes old, and the issuer did not answer when it was asked last"
    return Finding(check, "warn", f"the API's are {age}; they are believed for {KEPT_S / FRESH_S:.0f} h", mend)
