"""What the service refuses in a container's definition."""

from typing import Any

import pytest

from localcloud.cosmos.catalog import complete_container
from localcloud.cosmos.computed_properties import parse_computed
from localcloud.cosmos.errors import BadRequestError

PAIR = [{"path": "/a"}, {"path": "/b", "order": "descending"}]


def define(**given: Any) -> dict[str, object]:
    return complete_container({"id": "one", "partitionKey": {"paths": ["/pk"], "version": 2}, **given})


def key(*paths: Any, **more: Any) -> dict[str, Any]:
    return {"partitionKey": {"paths": list(paths), "kind": "MultiHash", "version": 2, **more}}


def indexed(**policy: Any) -> dict[str, Any]:
    return {"indexingPolicy": policy}


def unique(*keys: Any) -> dict[str, Any]:
    return {"uniqueKeyPolicy": {"uniqueKeys": [{"paths": paths} for paths in keys]}}


def conflicts(mode: str, path: object = None, procedure: object = None) -> dict[str, Any]:
    policy = {"mode": mode, "conflictResolutionPath": path, "conflictResolutionProcedure": procedure}
    return {"conflictResolutionPolicy": policy}


@pytest.mark.parametrize(
    "given",
    [
        key("/a", "/b", "/c"),
        key('/"a*b"/c', "/d"),
        indexed(indexingMode="none", automatic=False),
        indexed(indexingMode="none"),
        indexed(includedPaths=[{"path": "/"}]),
        indexed(excludedPaths=[{"path": "/*"}]),
        indexed(includedPaths=[{"path": "/*"}, {"path": "/a/[]/b/?"}], excludedPaths=[{"path": '/"_etag"/?'}]),
        indexed(compositeIndexes=[PAIR, [{"path": "/b/c"}, {"path": "/a"}]]),
        indexed(spatialIndexes=[{"path": "/place/*", "types": ["Point", "Polygon"]}]),
        unique(["/a", "/b/c"], ["/d"]),
        {"uniqueKeyPolicy": {"uniqueKeys": []}},
        conflicts("LastWriterWins", "/_ts", ""),
        conflicts("Custom", "", "dbs/a/colls/b/sprocs/c"),
        {"analyticalStorageTtl": -1},
        {"geospatialConfig": {"type": "Geometry"}},
        {"computedProperties": [{"name": "low", "query": "SELECT VALUE LOWER(c.a) FROM c"}]},
    ],
)
def test_what_the_service_takes(given: dict[str, Any]) -> None:
    assert define(**given)["id"] == "one"


@pytest.mark.parametrize(
    "given",
    [
        key("/a/*"),
        key("/a/[]"),
        key("/a/?"),
        key("//"),
        key("/a/"),
        key("/a", "/a"),
        key("/a", "/b", version=1),
        key("/a", kind="Hash", version=True),
        indexed(indexingMode="none", automatic=True),
        indexed(automatic="yes"),
        indexed(includedPaths=[{"path": "/a/?"}]),
        indexed(includedPaths=[{"path": "/*"}], excludedPaths=[{"path": "/*"}]),
        indexed(includedPaths=[{"path": "/*"}, {"path": "/a/?"}], excludedPaths=[{"path": "/a/?"}]),
        indexed(includedPaths=[{"path": "/*"}, {"path": "/a/*/b/?"}]),
        indexed(compositeIndexes="x"),
        indexed(compositeIndexes=[{"path": "/a"}]),
        indexed(compositeIndexes=[[{"path": "/a"}]]),
        indexed(compositeIndexes=[[{"path": "/a"}, {"path": "/a", "order": "descending"}]]),
        indexed(compositeIndexes=[[{"path": "/a"}, {"path": "/b", "order": "up"}]]),
        indexed(compositeIndexes=[[{"path": "/a"}, {"path": "/b/?"}]]),
        indexed(compositeIndexes=[[{"path": "/a"}, {"path": "b"}]]),
        indexed(compositeIndexes=[[{"path": "/a"}, {"order": "ascending"}]]),
        indexed(compositeIndexes=[[{"path": f"/a{n}"} for n in range(9)]]),
        indexed(spatialIndexes=[{"path": "/a/*", "types": ["Blob"]}]),
        indexed(spatialIndexes=[{"types": ["Point"]}]),
        {"uniqueKeyPolicy": "x"},
        unique(["/a/*"]),
        unique(["/a/[]/b"]),
        unique(["/a", "/a"]),
        unique([f"/a{n}" for n in range(17)]),
        unique(*[[f"/a{n}"] for n in range(11)]),
        conflicts("Any"),
        conflicts("LastWriterWins", "/a/b"),
        conflicts("LastWriterWins", "a"),
        conflicts("LastWriterWins", "/a", "dbs/a/colls/b/sprocs/c"),
        conflicts("Custom", "/a"),
        {"conflictResolutionPolicy": "x"},
        {"analyticalStorageTtl": -2},
        {"analyticalStorageTtl": "x"},
        {"geospatialConfig": {"type": "Flat"}},
        {"computedProperties": [{"name": "_ts", "query": "SELECT VALUE 1 FROM c"}]},
        {"computedProperties": [{"name": "a", "query": "SELECT VALUE 1 FROM c"}] * 2},
        {"computedProperties": [{"name": f"a{n}", "query": "SELECT VALUE 1 FROM c"} for n in range(21)]},
    ],
)
def test_what_the_service_refuses(given: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError):
        define(**given)


def test_an_index_that_excludes_all_includes_nothing() -> None:
    policy = define(**indexed(excludedPaths=[{"path": "/*"}]))["indexingPolicy"]
    assert isinstance(policy, dict)
    assert policy["includedPaths"] == []


@pytest.mark.parametrize(
    "query",
    [
        "SELECT TOP 1 VALUE c.a FROM c",
        "SELECT DISTINCT VALUE c.a FROM c",
        "SELECT VALUE c.a FROM c OFFSET 1 LIMIT 2",
        "SELECT VALUE COUNT(1) FROM c",
        "SELECT VALUE (SELECT VALUE 1) FROM c",
        "SELECT VALUE {a: [EXISTS(SELECT VALUE 1 FROM t IN c.t)]} FROM c",
    ],
)
def test_a_computed_property_is_one_expression(query: str) -> None:
    with pytest.raises(BadRequestError):
        parse_computed([{"name": "a", "query": query}])
