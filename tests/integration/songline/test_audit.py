"""`songline audit`, as a user runs it: a system of its own that is gone afterwards, and a report of what was proven."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

from songline.audit.cloud_faults import CloudFaults, FaultsRefusedError
from songline.audit.plan import KINDS
from songline.cloud.settings import WEBSOCKETS
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for

START_S = 280.0
SENTENCES = {
    "answers-true",
    "bad-records-parked",
    "catalog-equals",
    "charts-equal",
    "comes-to-rest",
    "events-kept",
    "libraries-equal",
    "not-ready-is-true",
    "nothing-foreign",
    "order-kept",
    "plays-equal",
    "ready-is-true",
    "supervisor-lives",
    "uploads-kept",
    "uploads-told-once",
}


class Audit:
    """A `songline audit` that writes to `folder`; its data folder is made beside it."""

    def __init__(self, folder: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        # Sockets are made in it, so its path is short.
        self.out, self.temporary = folder / "out", Path(tempfile.mkdtemp(prefix="audit", dir=folder.parent))
        self._log = folder / "audit.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "songline", "audit", "--out", str(self.out), *arguments],
                stdout=log,
                stderr=log,
                env={**os.environ, "TMPDIR": str(self.temporary), **(environ or {})},
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._log.read_text()

    @property
    def report(self) -> str:
        return (self.out / "report.txt").read_text()

    def left(self) -> list[str]:
        """The processes that it left behind, and what is in its temporary folder.

        A killed Python process leaves the empty folder in which `multiprocessing` had its sockets.
        """
        found = [str(one) for one in self.temporary.iterdir() if not one.name.startswith("pymp-")]
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if (
                    int(folder.name) != self.process.pid
                    and str(self.temporary).encode() in (folder / "environ").read_bytes()
                ):
                    found.append((folder / "cmdline").read_bytes().decode(errors="replace"))
            except OSError:
                continue
        return found

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(120)


@pytest.fixture
def audits() -> Iterator[list[Audit]]:
    """Audits of a test; each is ended with it."""
    begun: list[Audit] = []
    yield begun
    for one in begun:
        one.kill()


@pytest.mark.timeout(600)
def test_a_short_audit_proves_every_sentence(audits: list[Audit], tmp_path: Path) -> None:
    """With faults: by this seed writes become slow, messages come twice, and the library worker and the API are
    killed."""
    audit = Audit(tmp_path, "--chaos", "--minutes", "0.15", "--seed", "155", "--recovery", "400")
    audits.append(audit)
    assert audit.process.wait(570) == 0, audit.said
    figures = json.loads((audit.out / "figures.json").read_bytes())
    assert figures["faults"]["kill"] >= 1
    assert {one["name"] for one in figures["proofs"]} == SENTENCES
    assert all(not one["wrong"] and not one["missing"] for one in figures["proofs"])
    assert "seed 155: proven" in audit.report
    assert audit.report in audit.said
    history = [msgspec.json.decode(line) for line in (audit.out / "history.jsonl").read_bytes().splitlines()]
    sent = {id_ for line in history if line["operation"] == "publish" for id_ in line.get("ids", ())}
    accepted = next(one for one in figures["proofs"] if one["name"] == "events-kept")["checked"]["accepted events"]
    assert 0 < accepted <= len(sent)
    assert audit.left() == []


@pytest.mark.timeout(2_400)
def test_an_audit_with_faults_proves_every_sentence(audits: list[Audit], tmp_path: Path) -> None:
    audit = Audit(tmp_path, "--chaos", "--minutes", "1.5", "--seed", "7", "--recovery", "600")
    audits.append(audit)
    assert audit.process.wait(2_300) == 0, audit.said
    figures = json.loads((audit.out / "figures.json").read_bytes())
    assert set(KINDS) == set(figures["faults"]) | set(figures["without"])
    assert figures["faults"]["kill"] >= 5
    assert audit.left() == []


@pytest.mark.timeout(900)
def test_an_audit_as_on_azure_proves_every_sentence(audits: list[Audit], tmp_path: Path) -> None:
    """Over TLS and WebSockets, by tokens, and within the limits; the library worker and the API are killed."""
    arguments = ("--like-azure", "--chaos", "--minutes", "0.15", "--seed", "155", "--recovery", "400")
    audit = Audit(tmp_path, *arguments, environ={WEBSOCKETS: "on"})
    audits.append(audit)
    assert audit.process.wait(870) == 0, audit.said
    figures = json.loads((audit.out / "figures.json").read_bytes())
    assert figures["faults"]["kill"] >= 1
    assert {one["name"] for one in figures["proofs"]} == SENTENCES
    assert audit.left() == []


def test_an_interrupted_audit_ends_everything_and_reports_what_it_saw(audits: list[Audit], tmp_path: Path) -> None:
    audit = Audit(tmp_path, "--minutes", "60")
    audits.append(audit)
    wait_for(lambda: re.search(r"[1-9][0-9]* events and", audit.said), "events of an audit", START_S)
    audit.process.send_signal(signal.SIGINT)
    assert audit.process.wait(120) == 130, audit.said
    assert re.search(r"It ended early, after \d+ s: it was interrupted", audit.report)
    # Its data is kept, and named.
    (kept,) = audit.left()
    assert "/songline-audit-" in kept
    assert kept in audit.report


def test_localcloud_takes_rules_with_its_own_key_alone(shared_localcloud: LocalCloud, tmp_path: Path) -> None:
    control = f"http://127.0.0.1:{shared_localcloud.ports['control']}"
    nothing = {"service": "cosmos", "kind": "drop", "entity": "a-container-that-nobody-has"}
    faults = CloudFaults(control, shared_localcloud.data)
    try:
        assert faults.put([nothing])
        (report,) = shared_localcloud.control("GET", "/faults")
        assert (report["kind"], report["entity"]) == ("drop", nothing["entity"])
        assert faults.put([])
        assert shared_localcloud.control("GET", "/faults") == []
        assert faults.struck == {"drop": 0}
        with pytest.raises(FaultsRefusedError, match=r"saw 400.*kind"):
            faults.put([{**nothing, "kind": "nonsense"}])
    finally:
        faults.close()
    stranger = CloudFaults(control, tmp_path)
    try:
        with pytest.raises(FaultsRefusedError, match="saw 401"):
            stranger.put([nothing])
    finally:
        stranger.close()


def test_a_localcloud_that_is_gone_takes_no_rules(tmp_path: Path) -> None:
    faults = CloudFaults("http://127.0.0.1:9", tmp_path)
    assert not faults.put([])
    faults.close()
