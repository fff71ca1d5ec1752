"""The resource that the path of a request names.

Paths alternate between resource types and ids: `/dbs/shop/colls/orders/docs/42`. An id may be the name that
the client chose or the resource id (`_rid`) that the service gave.
"""

import base64
from dataclasses import dataclass, field
from urllib.parse import unquote

from localcloud.cosmos.errors import NotFoundError

TYPES = frozenset(
    "dbs colls docs pkranges offers users permissions sprocs triggers udfs conflicts attachments operations".split()
)


@dataclass(frozen=True, slots=True)
class ResourcePath:
    """`kind` is the type of the resource or feed, `id` the id within it ("" for a feed).

    `signed_type` and `signed_links` are what the client may have signed.
    """

    kind: str
    database: str = ""
    container: str = ""
    id: str = ""
    signed_type: str = ""
    signed_links: tuple[str, ...] = ("",)
    parts: tuple[str, ...] = field(default=())

    @property
    def container_link(self) -> str:
        return f"dbs/{self.database}/colls/{self.container}"


def parse_resource_path(raw_path: str) -> ResourcePath:
    """Parse a path that is still percent-encoded. Raises NotFoundError for a path that names no resource."""
    raw = raw_path.strip("/")
    if not raw:
        return ResourcePath(kind="")
    parts = tuple(unquote(part) for part in raw.split("/"))
    kind, is_item = (parts[-2], True) if len(parts) % 2 == 0 else (parts[-1], False)
    if "operations" in parts:
        kind, is_item, parts = parts[-1], False, parts[:-1]
    if any(part not in TYPES for part in parts[::2]):
        raise NotFoundError(f"No resource has the path '/{'/'.join(parts)}'.")
    owner = parts if is_item else parts[:-1]
    link = "/".join(owner)
    links = [link, "/".join(raw.split("/")[: len(owner)])]
    if owner and is_rid(owner[1]):
        links.insert(0, owner[-1].lower())
    return ResourcePath(
        kind=kind,
        database=parts[1] if len(parts) > 1 and parts[0] == "dbs" else "",
        container=parts[3] if len(parts) > 3 and parts[2] == "colls" else "",
        id=parts[-1] if is_item else "",
        signed_type="colls" if kind == "partitionkeydelete" else kind,
        signed_links=tuple(dict.fromkeys(links)),
        parts=parts,
    )


def is_rid(text: str) -> bool:
    """Whether an id is a resource id of a database or an offer rather than a name that a client chose."""
    try:
        return len(text) in (4, 8) and len(base64.b64decode(text.replace("-", "/"), validate=True)) in (3, 4)
    except ValueError:
        return False
