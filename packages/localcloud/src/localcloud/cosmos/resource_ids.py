"""Resource ids: base64 of the database's 4 bytes, the container's 4 and the document's 8, `/` written as `-`.

A client tells a link made of resource ids from one made of names by the database's part: 8 characters that are the
base64 of 4 bytes (`azure.cosmos._base.IsNameBased`).
"""

import base64


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode().replace("/", "-")


def decode(rid: str) -> bytes:
    return base64.b64decode(rid.replace("-", "/"))


def database_rid(number: int) -> str:
    return encode(number.to_bytes(4, "little"))


def container_rid(database: str, number: int) -> str:
    """The top bit of the first byte says that it is a container."""
    return encode(decode(database) + (0x80000000 | number).to_bytes(4, "big"))


def document_rid(container: str, number: int) -> str:
    return encode(decode(container) + number.to_bytes(8, "little"))


def document_number(container: str, rid: str) -> int | None:
    """The number that `document_rid` was made of; None for what is no resource id of a document in the container."""
    try:
        data = base64.b64decode(rid.replace("-", "/"), validate=True)
    except ValueError:
        return None
    owner = decode(container)
    return int.from_bytes(data[8:], "little") if len(data) == 16 and data.startswith(owner) else None


def offer_rid(number: int) -> str:
    return encode(number.to_bytes(3, "little"))
