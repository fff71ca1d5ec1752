"""Indexing policies: which values of a document are indexed. Writes cost by them, and ORDER BY needs them.

Paths are those of the service: `/*`, `/address/city/?`, `/tags/[]/?`. The most precise path that fits decides
("Indexing policies in Azure Cosmos DB", include/exclude precedence).
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from localcloud.cosmos.errors import BadRequestError
from localcloud.cosmos.json_documents import SYSTEM_PROPERTIES
from localcloud.cosmos.partition import parse_path

_ETAG = {"path": '/"_etag"/?'}
DEFAULT_POLICY: dict[str, object] = {
    "indexingMode": "consistent",
    "automatic": True,
    "includedPaths": [{"path": "/*"}],
    "excludedPaths": [_ETAG],
}


# With a consistent index the service indexes these whatever the policy says.
_ALWAYS_INDEXED = (("id",), ("_ts",))


@dataclass(slots=True)
class _Node:
    children: "dict[str, _Node]" = field(default_factory=dict)
    scalar: bool | None = None  # what `/?` says about the value here
    subtree: bool | None = None  # what `/*` says about everything below


def complete_policy(policy: Mapping[str, object]) -> dict[str, object]:
    """The policy as the service stores it: with defaults, without the kinds of index that the service dropped."""
    mode = str(policy.get("indexingMode", "consistent")).lower()
    kept = {"automatic": mode != "none", **policy, "indexingMode": mode}
    if mode == "none":
        return kept
    included, excluded = kept.get("includedPaths") or [], kept.get("excludedPaths") or []
    if not included and {"path": "/*"} not in (excluded if isinstance(excluded, list) else []):
        included = [{"path": "/*"}]
    if isinstance(included, list):
        included = [
            {key: value for key, value in entry.items() if key != "indexes"} if isinstance(entry, dict) else entry
            for entry in included
        ]
    if isinstance(excluded, list) and _ETAG not in excluded:
        excluded = [*excluded, _ETAG]
    return {**kept, "includedPaths": included, "excludedPaths": excluded}


class IndexingPolicy:
    """Reads a container's `indexingPolicy`; BadRequestError names the part that is wrong."""

    def __init__(self, resource: Mapping[str, object]) -> None:
        mode = str(resource.get("indexingMode", "consistent")).lower()
        if mode not in ("consistent", "lazy", "none"):
            raise BadRequestError(f"The indexing mode {mode!r} is not one of 'consistent' and 'none'.")
        self._root = _Node(subtree=False)
        self._has_index = mode != "none"
        self._composites = _composites(resource.get("compositeIndexes")) if self._has_index else []
        if self._has_index:
            self._add(resource, "includedPaths", True)
            self._add(resource, "excludedPaths", False)

    def _add(self, resource: Mapping[str, object], name: str, included: bool) -> None:
        entries = resource.get(name, [])
        if not isinstance(entries, list):
            raise BadRequestError(f"The indexing policy's {name} is not a list.")
        for entry in entries:
            path = entry.get("path") if isinstance(entry, dict) else None
            if not isinstance(path, str):
                raise BadRequestError(f"An entry of the indexing policy's {name} has no 'path': {entry!r}.")
            *tokens, last = parse_path(path) if path != "/" else ("*",)
            if last not in ("?", "*"):
                raise BadRequestError(
                    f"The indexing path '{path}' could not be accepted: it has to end in '/?' or '/*'."
                )
            node = self._root
            for token in tokens:
                node = node.children.setdefault(token, _Node())
            if last == "?":
                node.scalar = included
            else:
                node.subtree = included

    def includes(self, path: tuple[str, ...]) -> bool:
        """Whether the scalars at a path are indexed; `[]` in the path is any item of an array."""
        if path in _ALWAYS_INDEXED:
            return self._has_index
        node: _Node | None = self._root
        inherited = bool(self._root.subtree)
        for token in path:
            node = node.children.get(token) if node else None
            if node is not None and node.subtree is not None:
                inherited = node.subtree
        return node.scalar if node is not None and node.scalar is not None else inherited

    def has_composite(self, orders: Sequence[tuple[tuple[str, ...], bool]]) -> bool:
        """Whether a composite index has these paths and directions (True descends), or all directions reversed."""
        reversed_orders = [(path, not descending) for path, descending in orders]
        return any(list(orders) == index or reversed_orders == index for index in self._composites)

    def count(self, document: Mapping[str, object]) -> int:
        """How many values of the document are indexed, not counting the system properties."""
        return sum(
            self._count(value, self._root.children.get(key), bool(self._root.subtree))
            for key, value in document.items()
            if key not in SYSTEM_PROPERTIES
        )

    def _count(self, value: object, node: _Node | None, inherited: bool) -> int:
        if node is not None and node.subtree is not None:
            inherited = node.subtree
        if isinstance(value, dict):
            if node is None and not inherited:
                return 0
            children = node.children if node else {}
            return sum(self._count(item, children.get(key), inherited) for key, item in value.items())
        if isinstance(value, list):
            if node is None and not inherited:
                return 0
            child = node.children.get("[]") if node else None
            return sum(self._count(item, child, inherited) for item in value)
        if node is not None and node.scalar is not None:
            return int(node.scalar)
        return int(inherited)


def _composites(entries: object) -> list[list[tuple[tuple[str, ...], bool]]]:
    """The composite indexes that are well formed, each path with whether it descends."""
    found = []
    for entry in entries if isinstance(entries, list) else ():
        parts = [part for part in entry if isinstance(part, dict)] if isinstance(entry, list) else []
        paths = [str(part.get("path")) for part in parts]
        descending = [str(part.get("order", "ascending")).lower() == "descending" for part in parts]
        with suppress(BadRequestError):
            found.append([(parse_path(path), down) for path, down in zip(paths, descending, strict=True)])
    return found
