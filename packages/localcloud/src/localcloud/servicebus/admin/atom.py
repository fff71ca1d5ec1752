"""Atom entries and feeds around the descriptions of entities (RFC 4287, as far as the clients look)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from localcloud.servicebus.errors import InvalidArgumentError

ATOM = "http://www.w3.org/2005/Atom"
SERVICE_BUS = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
COUNTS = "http://schemas.microsoft.com/netservices/2011/06/servicebus"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
MAX_PAGE = 100


class AtomEntry(NamedTuple):
    """One resource: its name, its address, and its description."""

    title: str
    url: str
    updated_ms: int
    description: Element


def timestamp(unix_ms: int) -> str:
    """An XML dateTime in UTC."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def entry(made: AtomEntry) -> bytes:
    return _document(_entry(made))


def feed(title: str, url: str, entries: Sequence[AtomEntry], skip: int, top: int, now_ms: int) -> bytes:
    """One page of `entries`, with a link to the next when there is one."""
    root = Element(_atom("feed"))
    SubElement(root, _atom("title"), type="text").text = title
    SubElement(root, _atom("id")).text = url
    SubElement(root, _atom("updated")).text = timestamp(now_ms)
    SubElement(root, _atom("link"), rel="self", href=f"{url}?$skip={skip}&$top={top}")
    if len(entries) > skip + top:
        SubElement(root, _atom("link"), rel="next", href=f"{url}?$skip={skip + top}&$top={top}")
    for made in entries[skip : skip + top]:
        root.append(_entry(made))
    return _document(root)


def error(status: int, detail: str) -> bytes:
    root = Element("Error")
    SubElement(root, "Code").text = str(status)
    SubElement(root, "Detail").text = detail
    return _document(root)


def description_of(body: bytes) -> Element:
    """What the content of an entry describes. Raises InvalidArgumentError."""
    try:
        root = fromstring(body)
    except (ParseError, DefusedXmlException) as problem:
        raise InvalidArgumentError(f"the body is no XML that is accepted here: {problem}") from None
    content = root.find(_atom("content"))
    if content is None or len(content) != 1:
        raise InvalidArgumentError("expected an Atom entry whose content is one description")
    return content[0]


def _entry(made: AtomEntry) -> Element:
    root = Element(_atom("entry"))
    SubElement(root, _atom("id")).text = made.url
    SubElement(root, _atom("title"), type="text").text = made.title
    SubElement(root, _atom("published")).text = timestamp(made.updated_ms)
    SubElement(root, _atom("updated")).text = timestamp(made.updated_ms)
    SubElement(root, _atom("link"), rel="self", href=made.url)
    SubElement(root, _atom("content"), type="application/xml").append(made.description)
    return root


def _atom(name: str) -> str:
    return f"{{{ATOM}}}{name}"


def _document(root: Element) -> bytes:
    document: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def tag(name: str) -> str:
    """The qualified name of an element of a description."""
    return f"{{{SERVICE_BUS}}}{name}"


def local_name(element: Element) -> str:
    return element.tag.rpartition("}")[2]
