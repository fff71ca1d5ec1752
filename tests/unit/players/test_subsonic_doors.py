"""Nobody reaches an operation of OpenSubsonic without a token of a player, whatever is shown and however one asks."""

from collections.abc import Mapping

import pytest

from songline.players.opensubsonic.call import PlayerCall
from songline.players.opensubsonic.endpoints import EXTENSIONS, OPERATIONS, PlayerOperation
from tests.support import tokens
from tests.support.guarded import allowed
from tests.unit.players.test_subsonic_server import READING, SALTED, answer, made, salted, served

SHOWN: Mapping[str, Mapping[str, str]] = {
    "nothing": {},
    "a key of nobody": {"apiKey": made(9).text},
    "an empty key": {"apiKey": ""},
    "the id of a good one": {"apiKey": READING.token.id},
    "a token of the issuer": {"apiKey": tokens.token()},
    "a password": {"u": "ada", "p": READING.text},
    "a digest of another's": {**salted(SALTED), "u": "eve"},
    "a digest of what is not sealed": salted(READING),
    "a user alone": {"u": "ada"},
    "a good key and another way": {"apiKey": READING.text, **salted(SALTED)},
}
REFUSED = {10, 40, 42, 43, 44}


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which operations were carried out; none does anything."""
    names: list[str] = []

    def noting(name: str) -> PlayerOperation:
        async def handle(call: PlayerCall) -> dict[str, str]:
            names.append(name)
            return {}

        return PlayerOperation(handle, OPERATIONS[name].scope)

    for name in list(OPERATIONS):
        monkeypatch.setitem(OPERATIONS, name, noting(name))
    return names


async def test_no_operation_is_carried_out_without_a_good_token(reached: list[str]) -> None:
    assert len(OPERATIONS) > 40
    assert EXTENSIONS not in OPERATIONS
    header = dict(allowed())
    async with served() as http:
        for name in OPERATIONS:
            for what, shown in SHOWN.items():
                query = {"f": "json", **shown}
                for method, params, form in (("GET", query, None), ("POST", {"f": "json"}, query)):
                    # A token of the issuer is none here, also in its own header.
                    asked = http.request(method, f"/rest/{name}", params=params, data=form, headers=header)
                    found = answer(await asked)
                    assert found["status"] == "failed", (name, what)
                    assert found["error"]["code"] in REFUSED, (name, what, found)
        assert reached == []
        await http.get("/rest/ping", params={"f": "json", "apiKey": READING.text})
        assert reached == ["ping"]


@pytest.mark.parametrize(
    "path",
    [
        f"{EXTENSIONS}/../ping",
        f"{EXTENSIONS}%2F..%2Fping",
        f"{EXTENSIONS}.view/ping",
        "./ping",
        "/ping",
        "ping%00",
        "PING",
        "ping;x",
        "ping.view.view",
        "%70ing",
    ],
)
async def test_no_other_spelling_is_a_door(reached: list[str], path: str) -> None:
    async with served() as http:
        response = await http.get(f"/rest/{path}", params={"f": "json"})
    assert reached == []
    if response.status_code == 200:
        assert answer(response)["error"]["code"] in REFUSED
