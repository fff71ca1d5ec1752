"""Dockerfile and workflows, as their linters read them."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.support.pages import ROOT
from tests.support.published_schemas import published_schema

BIN = Path(sys.executable).parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def lint(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def workflow(path: Path) -> dict[str, Any]:
    # YAML 1.1 takes the key `on` for a truth value.
    text = re.sub(r"^on:", '"on":', path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def test_the_dockerfile_is_linted() -> None:
    lint(str(BIN / "hadolint"), "Dockerfile")


def test_the_image_runs_as_nobody_in_particular() -> None:
    stages = DOCKERFILE.split("\nFROM ")[1:]
    assert len(stages) == 2
    bases = {stage.split()[0] for stage in stages}
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.\d+-slim@sha256:[0-9a-f]{64}", bases.pop())
    assert re.search(r"^USER 10001:10001$", stages[-1], re.MULTILINE)
    assert "COPY . ." not in stages[-1]


def test_the_builder_gets_what_a_wheel_is_built_from_and_no_more() -> None:
    given = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    assert all((ROOT / path).exists() for path in given)
    links = {path.resolve().relative_to(ROOT).as_posix() for path in (ROOT / "songline").iterdir() if path.is_symlink()}
    assert links <= set(given)
    for requirements in re.findall(r"-r (\S+)", DOCKERFILE):
        assert requirements in given


def test_workflows_are_linted() -> None:
    lint(str(BIN / "zizmor"), "--offline", "--quiet", "--persona=pedantic", ".github/workflows")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_keeps_to_the_schema(path: Path) -> None:
    jsonschema.validate(workflow(path), published_schema("github-workflows"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_their_commits_and_jobs_end(path: Path) -> None:
    jobs = workflow(path)["jobs"]
    assert jobs
    for name, job in jobs.items():
        assert job["timeout-minutes"] <= 90, name
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", step["uses"]), step["uses"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_makes_only_targets_that_there_are(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    asked = {
        word
        for line in re.findall(r"\bmake ([^\n]+)", path.read_text(encoding="utf-8"))
        for word in line.split()
        if "=" not in word
    }
    assert asked <= targets


def test_every_python_that_the_project_supports_is_tested() -> None:
    matrix = workflow(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"]
