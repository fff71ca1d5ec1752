"""What stands in the repository of checks for security, so that nobody takes it away unseen: docs/testing.md."""

import ast
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ("cloud", "processors", "producers", "projections", "schemas", "songline", "packages/localcloud/src")
REASON = re.compile(r"# noqa: S\d+(?:, ?[A-Z]+\d+)* - .{4,}")


@cache
def sources() -> Mapping[Path, str]:
    """The product's modules; the links below `songline/` are not followed."""
    return {
        path: path.read_text()
        for folder in PRODUCT
        for path in sorted((ROOT / folder).rglob("*.py"))
        if not any(part.is_symlink() for part in (path, *path.parents)) and "node_modules" not in path.parts
    }


def test_sources_were_found() -> None:
    assert len(sources()) > 400


def test_bandits_rules_are_on_for_the_product() -> None:
    lint: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    assert [rule for rule in lint["ignore"] if rule.startswith("S1")] == ["S101"]
    # Random numbers by a seed, where that is what they are for; no rule is off for a folder that serves anybody.
    for folder, rules in lint["per-file-ignores"].items():
        if not re.match(r"(tests|packages/localcloud/tests|bench)/", folder):
            assert rules == ["S311"], folder


def test_each_exception_from_them_has_a_reason() -> None:
    for path, text in sources().items():
        for line in text.splitlines():
            if re.search(r"# noqa: .*\bS\d", line):
                assert REASON.search(line), f"{path}: {line.strip()}"


def test_nothing_is_run_by_a_shell_unpickled_or_evaluated() -> None:
    """Also where a rule is switched off in a line."""
    for path, text in sources().items():
        if not re.search(r"shell|pickle|marshal|eval|exec|yaml", text):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {one.name.partition(".")[0] for one in node.names} | {(getattr(node, "module", "") or "")}
                assert not names & {"pickle", "marshal", "shelve", "yaml"}, path
            if isinstance(node, ast.Call):
                assert not any(one.arg == "shell" and getattr(one.value, "value", 1) for one in node.keywords), path
                assert not (isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec")), path


@pytest.mark.parametrize("file", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda file: file.stem)
def test_every_package_is_pinned_by_version_and_hash(file: Path) -> None:
    text = file.read_text().replace("\\\n", " ")
    pinned = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert pinned
    for line in pinned:
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z,-]+\])?==\S+( ; .+?)? +--hash=sha256:[0-9a-f]{64}", line), line


SECRETS = re.compile(r"(\w+_)?(secret|password|token|verifier|csrf)|(primary|secondary|account)_key")
"""Names of fields that open something."""


def test_no_value_prints_its_secrets() -> None:
    """A crash report shows values by their repr. Those of classes that make one themselves have no secret in it."""
    seen, wrong = set[str](), []
    for path, text in sources().items():
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.ClassDef):
                continue
            bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
            is_value = bases & {"Struct", "NamedTuple", "HiddenStruct"} or node.decorator_list
            fields = [one for one in node.body if isinstance(one, ast.AnnAssign)] if is_value else []
            secret = [
                ast.unparse(one.target)
                for one in fields
                if SECRETS.fullmatch(ast.unparse(one.target))
                and re.search(r"\b(str|bytes)\b", ast.unparse(one.annotation))
            ]
            if not secret:
                continue
            seen.add(node.name)
            made = {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
            if "HiddenStruct" not in bases and "__repr__" not in made:
                wrong.append(f"{path}: {node.name} prints {', '.join(secret)}")
    assert not wrong, wrong
    assert {"UserSession", "GrantedTokens", "ClientConfig", "AuthorizationRule"} <= seen
