"""The rules of the service for a container's definition that reading it does not need.

They are checked when a container is created or replaced, before its id. A container that is on disk is served as it is.
"""

from collections.abc import Mapping
from itertools import chain

from localcloud.cosmos.errors import BadRequestError
from localcloud.cosmos.partition import parse_path

MAX_UNIQUE_KEYS, MAX_UNIQUE_KEY_PATHS, MAX_COMPOSITE_PATHS, MAX_COMPUTED = 10, 16, 8, 20

_WILDCARDS = ("*", "?", "[]")
_ROOTS = ("/", "/*")
_RESERVED = ("id", "_rid", "_ts", "_self", "_etag", "_attachments")
_SHAPES = ("Point", "LineString", "Polygon", "MultiPolygon")


def check_definition(resource: Mapping[str, object]) -> None:
    """Raises BadRequestError, which names the part that is wrong."""
    _check_partition_key(_object_at(resource, "partitionKey"))
    policy = _object_at(resource, "indexingPolicy")
    _check_paths(policy)
    _check_composites(policy.get("compositeIndexes"))
    _check_spatial(policy.get("spatialIndexes"))
    _check_unique_keys(_object_at(resource, "uniqueKeyPolicy"))
    _check_conflicts(_object_at(resource, "conflictResolutionPolicy"))
    _check_computed(resource.get("computedProperties"))
    kind = _object_at(resource, "geospatialConfig").get("type")
    if kind not in (None, "Geography", "Geometry"):
        raise BadRequestError(f"The geospatialConfig's type is {kind!r}: expected 'Geography' or 'Geometry'.")
    ttl = resource.get("analyticalStorageTtl")
    if ttl is not None and (isinstance(ttl, bool) or not isinstance(ttl, int) or ttl < -1):
        raise BadRequestError(f"The analyticalStorageTtl is {ttl!r}: expected a number of seconds from 0, or -1.")


def _check_partition_key(definition: Mapping[str, object]) -> None:
    paths = [_property_path(path, "partition key") for path in _list_at(definition, "paths")]
    if len(set(paths)) < len(paths):
        raise BadRequestError(f"The partition key names a path twice: {definition['paths']!r}.")
    version = definition.get("version", 2)
    if isinstance(version, bool):
        raise BadRequestError(f"The partition key version {version!r} is not 1 or 2.")
    if definition.get("kind") == "MultiHash" and version == 1:
        raise BadRequestError("The partition key kind 'MultiHash' needs version 2.")


def _check_paths(policy: Mapping[str, object]) -> None:
    automatic = policy.get("automatic", True)
    if not isinstance(automatic, bool):
        raise BadRequestError(f"The indexing policy's 'automatic' is {automatic!r}: expected true or false.")
    if policy.get("indexingMode") == "none":
        if automatic:
            raise BadRequestError("The indexing mode 'none' needs 'automatic': false.")
        return
    entries = chain(_list_at(policy, "includedPaths"), _list_at(policy, "excludedPaths"))
    paths = [entry.get("path") for entry in entries if isinstance(entry, dict)]
    roots = sum(path in _ROOTS for path in paths)
    if roots == 0:
        raise BadRequestError(
            "The special mandatory indexing path '/' is not provided in any of the path type sets. "
            "Provide '/*' in includedPaths or in excludedPaths."
        )
    twice = {str(path) for path in paths if paths.count(path) > 1}
    if twice or roots > 1:
        raise BadRequestError(f"The indexing policy names a path twice: {sorted(twice) or list(_ROOTS)}.")
    for path in paths:
        tokens = parse_path(path) if isinstance(path, str) and path != "/" else ()
        if any(token in ("*", "?", "") for token in tokens[:-1]):
            raise BadRequestError(f"The indexing path {path!r} could not be accepted: a wildcard is not at its end.")


def _check_composites(given: object) -> None:
    for index in _list_of(given, "compositeIndexes"):
        parts = _list_of(index, "composite index")
        if not 2 <= len(parts) <= MAX_COMPOSITE_PATHS:
            raise BadRequestError(
                f"A composite index has {len(parts)} paths: expected 2 to {MAX_COMPOSITE_PATHS}, not {index!r}."
            )
        paths = []
        for part in parts:
            entry = part if isinstance(part, dict) else {}
            paths.append(_property_path(entry.get("path"), "composite index"))
            order = entry.get("order", "ascending")
            if str(order).lower() not in ("ascending", "descending"):
                raise BadRequestError(f"A composite index has the order {order!r}: expected ascending or descending.")
        if len(set(paths)) < len(paths):
            raise BadRequestError(f"A composite index names a path twice: {index!r}.")


def _check_spatial(given: object) -> None:
    for index in _list_of(given, "spatialIndexes"):
        entry = index if isinstance(index, dict) else {}
        if not isinstance(entry.get("path"), str):
            raise BadRequestError(f"A spatial index has no 'path': {index!r}.")
        parse_path(entry["path"])
        for shape in _list_at(entry, "types"):
            if shape not in _SHAPES:
                raise BadRequestError(f"A spatial index has the type {shape!r}: expected one of {', '.join(_SHAPES)}.")


def _check_unique_keys(policy: Mapping[str, object]) -> None:
    keys = _list_at(policy, "uniqueKeys")
    if len(keys) > MAX_UNIQUE_KEYS:
        raise BadRequestError(f"The unique key policy has {len(keys)} keys, more than {MAX_UNIQUE_KEYS}.")
    for key in keys:
        paths = _list_at(key, "paths") if isinstance(key, dict) else []
        if len(paths) > MAX_UNIQUE_KEY_PATHS:
            raise BadRequestError(f"A unique key has {len(paths)} paths, more than {MAX_UNIQUE_KEY_PATHS}.")
        if len({_property_path(path, "unique key") for path in paths}) < len(paths):
            raise BadRequestError(f"A unique key names a path twice: {paths!r}.")


def _check_conflicts(policy: Mapping[str, object]) -> None:
    mode = str(policy.get("mode", "LastWriterWins")).lower()
    path, procedure = policy.get("conflictResolutionPath"), policy.get("conflictResolutionProcedure")
    if mode not in ("lastwriterwins", "custom"):
        raise BadRequestError(
            f"The conflict resolution mode {policy.get('mode')!r} is not one of 'LastWriterWins' and 'Custom'."
        )
    if mode == "custom" and path:
        raise BadRequestError("The conflict resolution mode 'Custom' takes no conflictResolutionPath.")
    if mode == "lastwriterwins" and procedure:
        raise BadRequestError("The conflict resolution mode 'LastWriterWins' takes no conflictResolutionProcedure.")
    if path and len(_property_path(path, "conflict resolution")) > 1:
        raise BadRequestError(f"Invalid path '{path}' for last writer wins conflict resolution: expected one property.")


def _check_computed(given: object) -> None:
    if not isinstance(given, list):
        return  # `computed_properties.parse_computed` refuses it in the service's words
    names = [entry.get("name") for entry in given if isinstance(entry, dict)]
    if len(names) > MAX_COMPUTED:
        raise BadRequestError(f"The container has {len(names)} computed properties, more than {MAX_COMPUTED}.")
    for name in names:
        if name in _RESERVED or names.count(name) > 1:
            raise BadRequestError(
                "One of the specified inputs is invalid: the computed property "
                f"{name!r} has the name of a system property or of another computed property."
            )


def _property_path(path: object, of: str) -> tuple[str, ...]:
    """The tokens of a path that names one property."""
    tokens = parse_path(path) if isinstance(path, str) else ()
    if not tokens or any(token in ("", *_WILDCARDS) for token in tokens):
        raise BadRequestError(f"The path {path!r} of a {of} is not valid: expected '/property' without wildcards.")
    return tokens


def _object_at(resource: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = resource.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequestError(f"The property '{name}' is {value!r}: expected a JSON object.")
    return value


def _list_at(resource: Mapping[str, object], name: str) -> list[object]:
    return _list_of(resource.get(name), name)


def _list_of(value: object, name: str) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadRequestError(f"{name} is {value!r}: expected a list.")
    return value
