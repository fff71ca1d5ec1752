"""Sessions that were signed out, over restarts and while no issuer answers."""

import re
from pathlib import Path

import pytest

from songline.api.session import sign_outs as sign_outs_module
from songline.api.session.ended_session_file import SPARE_LINES, EndedSessionFile
from songline.api.session.ended_sessions import EndedSessions
from songline.api.session.issuer_client import GrantRefusedError, IssuerAwayError
from songline.api.session.sealing import Sealer
from songline.api.session.sign_outs import SignOuts
from songline.api.session.user_session import MIN_RENEW_S, RENEW_BEFORE_S, UserSession, renewal_s
from tests.support.waiting import wait_for_async

NOW_S, ENDS_S = 1_000.0, 100_000.0
KEY = bytes(32)


def session(number: int, refresh_token: str | None = "refresh") -> UserSession:
    token = None if refresh_token is None else f"{refresh_token}-{number}"
    return UserSession(f"session-{number}", "user-7", (), "csrf", "access", token, NOW_S + 3_600, ENDS_S)


class Issuer:
    """Revokes refresh tokens, unless it is away, refuses, or does not know how to."""

    def __init__(self) -> None:
        self.now_s = NOW_S
        self.is_away = self.refuses = False
        self.knows = True
        self.revoked: list[str] = []
        self.asked = 0

    async def revoke(self, refresh_token: str) -> bool:
        self.asked += 1
        if self.is_away:
            raise IssuerAwayError("away")
        if self.refuses:
            raise GrantRefusedError("invalid_client", "no")
        if self.knows:
            self.revoked.append(refresh_token)
        return self.knows

    def sign_outs(self, file: Path | None = None, key: bytes = KEY) -> SignOuts:
        kept = None if file is None else EndedSessionFile(file, Sealer((key,)))
        return SignOuts(self.revoke, lambda: self.now_s, kept)


def content(file: Path) -> bytes:
    return file.read_bytes()


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


def cut(file: Path, length: int) -> None:
    """As a crash while it was written."""
    file.write_bytes(file.read_bytes()[:-length])


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "ended-sessions"


async def test_a_session_is_over_also_after_a_restart(issuer: Issuer, file: Path) -> None:
    await issuer.sign_outs(file).end(session(1))
    assert issuer.revoked == ["refresh-1"]
    again = issuer.sign_outs(file)
    assert "session-1" in again.ended
    assert again.ended.untold(issuer.now_s) == []
    # Nobody reads a token or an id out of the file.
    assert mode(file) == 0o600
    assert not re.search(b"refresh|session", content(file))
    # Its access token is over then, and its refresh token is revoked.
    issuer.now_s = NOW_S + 3_600 + RENEW_BEFORE_S
    assert "session-1" not in issuer.sign_outs(file).ended


async def test_an_issuer_that_was_away_is_told_later(
    issuer: Issuer, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_outs_module, "RETRY_S", 0.01)
    issuer.is_away = True
    first = issuer.sign_outs(file)
    await first.end(session(1))
    await first.end(session(2))
    assert "session-1" in first.ended

    async def asked_again() -> bool:
        return issuer.asked > 4

    await wait_for_async(asked_again, "the issuer to be asked again")
    await first.close()
    # A restart goes on with it, for as long as the cookies are good.
    issuer.now_s = ENDS_S - 1
    second = issuer.sign_outs(file)
    assert {"session-1", "session-2"} == {one.session_id for one in second.ended.all()}
    issuer.is_away = False
    second.start()

    async def told() -> bool:
        return sorted(issuer.revoked) == ["refresh-1", "refresh-2"]

    await wait_for_async(told, "both to be revoked")
    await second.close()
    issuer.now_s = ENDS_S
    assert len(issuer.sign_outs(file).ended) == 0


@pytest.mark.parametrize("refuses", [True, False])
async def test_what_an_issuer_can_not_revoke_is_known_until_the_cookie_is_over(
    issuer: Issuer, file: Path, refuses: bool
) -> None:
    """Entra ID has no revocation."""
    issuer.refuses, issuer.knows = refuses, False
    await issuer.sign_outs(file).end(session(1))
    assert issuer.asked == 1
    issuer.now_s = ENDS_S - 1
    again = issuer.sign_outs(file)
    assert "session-1" in again.ended
    again.start()
    await again.close()
    assert issuer.asked == 1


async def test_without_a_refresh_token_nobody_is_asked(issuer: Issuer, file: Path) -> None:
    await issuer.sign_outs(file).end(session(1, None))
    assert issuer.asked == 0
    assert "session-1" in issuer.sign_outs(file).ended


async def test_a_line_that_was_cut_off_takes_no_other_along(issuer: Issuer, file: Path) -> None:
    first = issuer.sign_outs(file)
    await first.end(session(1))
    cut(file, 20)
    await issuer.sign_outs(file).end(session(2))
    assert "session-2" in issuer.sign_outs(file).ended
    # The first line of the first session is whole: only that the issuer was told is lost.
    assert [one.session_id for one in issuer.sign_outs(file).ended.untold(NOW_S)] == ["session-1"]
    assert len(issuer.sign_outs(file, bytes([1] * 32)).ended) == 0


async def test_a_file_that_can_not_be_written_stops_no_sign_out(
    issuer: Issuer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    sign_outs = issuer.sign_outs(tmp_path / "file" / "ended")
    await sign_outs.end(session(1))
    assert "session-1" in sign_outs.ended
    assert "forgotten by the next restart" in caplog.text


async def test_the_file_stays_as_long_as_what_is_known(issuer: Issuer, file: Path) -> None:
    sign_outs = issuer.sign_outs(file)
    for number in range(SPARE_LINES // 2 + 10):
        # Each is over when the next comes.
        issuer.now_s = NOW_S + number * 10_000
        late = UserSession(f"s-{number}", "u", (), "c", "a", f"r-{number}", issuer.now_s + 60, issuer.now_s + 9_000)
        await sign_outs.end(late)
    assert len(content(file).split()) < SPARE_LINES
    assert f"s-{number}" in issuer.sign_outs(file).ended


def test_a_bounded_number_is_known_and_those_that_are_over_go_first() -> None:
    ended = EndedSessions(capacity=2)
    early = UserSession("early", "u", (), "c", "a", "r", 10.0, 20.0)
    ended.add(session(1), NOW_S)
    ended.add(early, 5.0)
    ended.add(session(2), NOW_S)
    assert [one.session_id for one in ended.all()] == ["session-1", "session-2"]
    ended.add(session(3), NOW_S)
    assert [one.session_id for one in ended.all()] == ["session-2", "session-3"]


@pytest.mark.parametrize("lasts_s", [1, 5, 30, 60, 61, 120, 240, 3_600, 0, -29])
def test_a_token_is_renewed_before_its_end_and_not_at_every_request(lasts_s: float) -> None:
    expires_s = NOW_S + lasts_s
    found = renewal_s(NOW_S, expires_s)
    one = UserSession("one", "user-7", (), "c", "a", "r", expires_s, ENDS_S, found)
    assert not one.is_due(NOW_S + MIN_RENEW_S - 0.1)
    assert one.is_due(found)
    if lasts_s >= 4 * RENEW_BEFORE_S:
        assert found == expires_s - RENEW_BEFORE_S
    elif lasts_s > MIN_RENEW_S:
        assert NOW_S + MIN_RENEW_S <= found <= max(expires_s - lasts_s / 4, NOW_S + MIN_RENEW_S) < expires_s


def test_a_cookie_of_an_earlier_version_is_renewed_as_before() -> None:
    one = session(1)
    assert (one.is_due(NOW_S + 3_600 - RENEW_BEFORE_S - 1), one.is_due(NOW_S + 3_600 - RENEW_BEFORE_S)) == (False, True)
