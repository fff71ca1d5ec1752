"""`songline audit`, as a user runs it: a system of its own that is gone afterwards, and a report of what was proven."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

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
    """A `songline audit` that writes to `folder`; its data folder is made in `folder` too."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.out, self.temporary = folder / "out", folder / "temporary"
        self.temporary.mkdir()
        self._log = folder / "audit.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "songline", "audit", "--out", str(self.out), *arguments],
                stdout=log,
                stderr=log,
                env={**os.environ, "TMPDIR": str(self.temporary)},
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._log.read_text()

    def left(self) -> list[str]:
        """The processes that it left behind, and what is in its temporary folder."""
        marks = [str(self.temporary).encode()]
        found = [str(one) for one in self.temporary.iterdir()]
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if int(folder.name) != self.process.pid and any(
                    mark in (folder / "environ").read_bytes() for mark in marks
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


def test_a_short_audit_proves_every_sentence(audits: list[Audit], tmp_path: Path) -> None:
    audit = Audit(tmp_path, "--minutes", "0.15", "--seed", "7")
    audits.append(audit)
    assert audit.process.wait(280) == 0, audit.said
    figures = json.loads((audit.out / "figures.json").read_bytes())
    assert {one["name"] for one in figures["proofs"]} == SENTENCES
    assert all(not one["wrong"] and not one["missing"] for one in figures["proofs"])
    report = (audit.out / "report.txt").read_text()
    assert "seed 7: proven" in report
    assert report in audit.said
    history = [msgspec.json.decode(line) for line in (audit.out / "history.jsonl").read_bytes().splitlines()]
    sent = {id_ for line in history if line["operation"] == "publish" for id_ in line.get("ids", ())}
    accepted = next(one for one in figures["proofs"] if one["name"] == "events-kept")["checked"]["accepted events"]
    assert 0 < accepted <= len(sent)
    assert audit.left() == []
