"""The control endpoint's way to namespaces: list them, open one on free ports, close one."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.azurite_install import AzuriteError
from localcloud.config import ConfigError, read_hub_rules, read_hubs
from localcloud.control import refused
from localcloud.log.errors import LogError
from localcloud.namespace import CloudNamespace, NamespaceSettings
from localcloud.namespaces import NamespaceNameError, NamespaceRegistry, UnknownNamespaceError
from localcloud.servicebus.config import read_namespace
from localcloud.unreadable import UNREADABLE


class _NamespaceRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A namespace to open. `config` and `servicebus_config` are documents in the form of the emulators' `Config.json`,
    a later one laid over an earlier one."""

    name: str | None = None
    config: list[msgspec.Raw] = []
    servicebus_config: list[msgspec.Raw] = []
    blobs: bool = False
    throttle: bool = False
    create_topics: bool = False


def namespace_routes(registry: NamespaceRegistry, settings: NamespaceSettings) -> list[Route]:
    """GET and POST /namespaces, DELETE /namespaces/NAME. Of `settings` a namespace takes what its request can't say."""

    async def every(request: Request) -> Response:
        if request.method == "GET":
            return JSONResponse([_described(name, opened) for name, opened in registry.all().items()])
        body = await request.body()
        try:
            wanted = msgspec.json.decode(body, type=_NamespaceRequest)
        except UNREADABLE as error:
            return refused("the body", body.decode("utf-8", "replace")[:100], f"expected a namespace; {error}")
        try:
            folder = registry.folder(wanted.name)
        except NamespaceNameError as error:
            return refused("name", wanted.name, str(error))
        try:
            opened = await registry.open(folder, _settings(folder, wanted, settings), with_blobs=wanted.blobs)
        except (ConfigError, LogError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            return refused("config", folder.name, str(error))
        except AzuriteError as error:
            return refused("blobs", wanted.blobs, str(error), 503)
        except OSError as error:
            return refused("name", folder.name, f"{folder}: {error}", 503)
        return JSONResponse(_described(folder.name, opened), status_code=201)

    async def one(request: Request) -> Response:
        name = request.path_params["name"]
        try:
            await registry.close(name)
        except UnknownNamespaceError as error:
            return refused("name", name, str(error), 404)
        return JSONResponse({"name": name})

    return [
        Route("/namespaces", every, methods=["GET", "POST"]),
        Route("/namespaces/{name}", one, methods=["DELETE"]),
    ]


def _settings(folder: Path, wanted: _NamespaceRequest, settings: NamespaceSettings) -> NamespaceSettings:
    """Raises ConfigError, which names the document that is wrong, and OSError."""
    hub_files = _written(folder, "config", wanted.config)
    return NamespaceSettings(
        hubs=read_hubs(hub_files),
        hub_rules=read_hub_rules(hub_files),
        bus=read_namespace(_written(folder, "servicebus_config", wanted.servicebus_config)),
        keys=settings.keys,
        throttle=wanted.throttle,
        create_topics=wanted.create_topics,
        segment_bytes=settings.segment_bytes,
        tls=settings.tls,
        throughput_units=settings.throughput_units,
        silence_s=settings.silence_s,
        local_auth=settings.local_auth,
        standard=settings.standard,
    )


def _written(folder: Path, name: str, documents: Sequence[msgspec.Raw]) -> list[Path]:
    """The documents as files of the namespace, where they can be looked at."""
    if documents:
        folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, document in enumerate(documents):
        file = folder / f"{name}-{number}.json"
        file.write_bytes(bytes(document))
        files.append(file)
    return files


def _described(name: str, opened: CloudNamespace) -> dict[str, object]:
    return {
        "name": name,
        "ports": opened.ports,
        "blob_account": opened.blobs.name if opened.blobs else None,
        "servicebus_certificate": str(opened.certificate.resolve()),
    }
