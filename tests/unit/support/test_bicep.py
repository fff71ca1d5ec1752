"""The evaluator of Bicep that holds infra/azure."""

import json
import re
from pathlib import Path

import pytest

from tests.support.bicep.arm import main
from tests.support.bicep.evaluation import BicepValueError, Deployment
from tests.support.bicep.tokens import BicepSyntaxError

HEAD = "targetScope = 'resourceGroup'\n"


def outputs(folder: Path, text: str, **given: object) -> dict[str, object]:
    (folder / "main.bicep").write_text(HEAD + text)
    return Deployment(folder / "main.bicep", given).outputs


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("1 == 2 ? 'a' : 'b'", "b"),
        ("!true || 1 < 2 && 3 >= 3", True),
        ("null ?? 'x'", "x"),
        ("'it\\'s ${1 + 1}: ${'in'}'", "it's 2: in"),
        ("[1, 2][1]", 2),
        ("{ a: { b: 'c' } }.a.b", "c"),
        ("[for x in [1, 2]: x * 2]", [2, 4]),
        ("[for (x, i) in ['a', 'b']: '${i}${x}']", ["0a", "1b"]),
        ("map(filter([1, 2, 3], x => x > 1), x => { n: x })", [{"n": 2}, {"n": 3}]),
        ("flatten(map([1, 2], x => map([3], y => x * y)))", [3, 6]),
        ("union({ a: { b: 1 } }, { a: { c: 2 } })", {"a": {"b": 1, "c": 2}}),
        ("toObject([0, 1], i => ['x', 'y'][i])", {"x": 0, "y": 1}),
        ("items({ b: 1, a: 2 })", [{"key": "a", "value": 2}, {"key": "b", "value": 1}]),
        ("-2", -2),
    ],
)
def test_expressions(tmp_path: Path, expression: str, value: object) -> None:
    assert outputs(tmp_path, f"output found object = {expression}\n")["found"] == value


def test_parameters_resources_and_modules(tmp_path: Path) -> None:
    (tmp_path / "inner.bicep").write_text("param name string\noutput shout string = toUpper(name)\n")
    text = """
@description('its name')
param name string
param size int = 2 // a comment
resource one 'A.B/cs@2026-01-01' = if (size > 1) {
  name: name
  properties: { size: size }
}
resource many 'A.B/cs/ds@2026-01-01' = [for i in range(0, size): {
  parent: one
  name: 'd${i}'
}]
module inner 'inner.bicep' = { name: 'inner', params: { name: many[1].name } }
output said string = inner.outputs.shout
output made string = one.properties.address
"""
    found = outputs(tmp_path, text, name="n")
    assert found == {"said": "D1", "made": "</A.B/cs/n.properties.address>"}
    deployment = Deployment(tmp_path / "main.bicep", {"name": "n"})
    assert [one.name for one in deployment.resources] == ["n", "n/d0", "n/d1"]


def test_what_checkov_reads_is_what_is_deployed(tmp_path: Path) -> None:
    main(tmp_path / "made")
    template = json.loads((tmp_path / "made" / "template.json").read_text())
    (account,) = (one for one in template["resources"] if one["type"] == "Microsoft.Storage/storageAccounts")
    assert account["properties"]["allowSharedKeyAccess"] is False
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", account["apiVersion"])
    assert len(template["resources"]) > 100


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("output a string = b\n", "does not declare b"),
        ("param a string\noutput b string = a\n", "needs the parameter a"),
        ("var a = b\nvar b = a\n", "needs itself"),
        ("output a string = { b: 1 }.c\n", "there is no 'c'"),
        ("output a string = frobnicate(1)\n", "frobnicate is not known"),
        ("module a 'in.bicep' = { name: 'a', params: { c: 1 } }\n", "has no parameters"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "in.bicep").write_text("param b int = 1\noutput o int = b\n")
    with pytest.raises(BicepValueError, match=says):
        outputs(tmp_path, text)


@pytest.mark.parametrize("text", ["var a = 'x\n", "var a = [1\n", "var a = {b 1}\n", "fun a = 1\n", "var a = ~\n"])
def test_what_is_no_bicep_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(BicepSyntaxError, match=r"main\.bicep: line [23]"):
        outputs(tmp_path, text)
