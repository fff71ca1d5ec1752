"""Imports of histories over HTTP: a file is taken, stopped, and taken back. What becomes of it is read elsewhere."""

import asyncio
import logging
import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Request
from msgspec import Struct
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from songline.producers.http.body_pacing import BodyPaceMeter, pieces, started
from songline.producers.http.byte_charge import byte_charge
from songline.producers.http.headers import only
from songline.producers.http.import_openapi import CHANGE, IMPORT
from songline.producers.http.problems import RequestDeclinedError
from songline.producers.http.upload_routes import (
    FORM,
    FORM_SLACK,
    STALLED,
    body_length,
    claimed_type,
    file_name,
    plain_media_type,
    uploader,
)
from songline.producers.uploads.form_fields import FILE, check_beside
from songline.producers.uploads.import_intake import ImportIntake, ImportWish
from songline.producers.uploads.intake import OpenUpload, UploadIntake, UploadLimits
from songline.producers.uploads.multipart import Form, PartHead, malformed
from songline.schemas.commands import MAX_SONG_BYTES
from songline.schemas.decoding import excerpt
from songline.schemas.errors import ContractViolationError, Violation
from songline.schemas.imports import HistoryImport, ImportState
from songline.schemas.nearest import nearest
from songline.schemas.permission import permission_of
from songline.schemas.types import ID_PATTERN, PATTERNS, TIMEZONE_PATTERN

logger = logging.getLogger("songline.producers.http.import_routes")

FIELDS = ("userId", "timezone", "dryRun", "fileName")

_ID = re.compile(ID_PATTERN)
_TIMEZONE = re.compile(TIMEZONE_PATTERN)
_MAX_TIMEZONE = 64


class ImportReceipt(Struct, frozen=True, kw_only=True):
    """What an accepted request gets: the import's id, its state, and where it can be looked up."""

    id: str
    state: ImportState
    href: str


def routes(limits: UploadLimits) -> APIRouter:
    """The routes. The app's state has `imports`, an ImportIntake, and `uploads`, whose slots bodies share."""
    router = APIRouter()

    @router.post("/v1/imports", status_code=202, summary="Import a history", **IMPORT)
    async def take(request: Request) -> Response:
        """Send the file as the part `file` of a form, or as the body itself. The answer comes once the file is safe;
        what becomes of it is told at its `Location`. The same file again repeats its import: nothing is taken twice."""
        uploads: UploadIntake = request.app.state.uploads
        media_type = plain_media_type(only(request.headers, "Content-Type") or "")
        meter, caller = started(limits.pace), limits.callers.of(request.scope)
        with uploads.slot(caller, meter, asyncio.get_running_loop().time):
            try:
                read = _from_form if media_type == FORM else _from_body
                return _receipt(await read(request, request.app.state.imports, meter))
            except ClientDisconnect:
                logger.info("an import was broken off by its sender")
                return Response(status_code=400)

    @router.post("/v1/imports/{import_id}/stop", status_code=202, summary="Stop an import", **CHANGE)
    async def stop(request: Request, import_id: str) -> Response:
        """What it has taken stays. Sending its file again goes on."""
        imports: ImportIntake = request.app.state.imports
        return _receipt(await imports.stop(await _found(request, imports, import_id)))

    @router.post("/v1/imports/{import_id}/undo", status_code=202, summary="Take an import back", **CHANGE)
    async def undo(request: Request, import_id: str) -> Response:
        """All its listens leave the library together, also those that were still to come."""
        imports: ImportIntake = request.app.state.imports
        return _receipt(await imports.undo(await _found(request, imports, import_id)))

    return router


async def _found(request: Request, imports: ImportIntake, import_id: str) -> HistoryImport:
    """The import; raises NotPermittedError for that of another listener than the caller may act for."""
    if not _ID.search(import_id):
        raise RequestDeclinedError(
            404, "No such import", f"{excerpt(import_id)!r} is no import's id: expected {PATTERNS[ID_PATTERN]}."
        )
    check_fields(request.query_params, ())
    found = await imports.find(import_id)
    if found is None:
        raise RequestDeclinedError(404, "No such import", f"There is no import {import_id}.")
    permission_of(request.scope).check("the import's userId", found.user_id)
    return found


async def _from_body(request: Request, imports: ImportIntake, meter: BodyPaceMeter) -> HistoryImport:
    length = body_length(request, MAX_SONG_BYTES)
    fields = request.query_params
    check_fields(fields, FIELDS)
    user_id, wish = uploader(request, fields), read_wish(fields)
    content_type = claimed_type(only(request.headers, "Content-Type") or "")
    with byte_charge(request.scope, length) as charge:
        async with imports.begin(user_id) as uploading:
            async for piece in pieces(request.receive, meter, STALLED):
                charge.count(len(piece))
                await uploading.write(piece)
            accepted = await imports.accept(uploading, content_type, wish)
            charge.keep()
            return accepted


async def _from_form(request: Request, imports: ImportIntake, meter: BodyPaceMeter) -> HistoryImport:
    check_beside(request.query_params)
    length = body_length(request, MAX_SONG_BYTES + FORM_SLACK)
    fields: dict[str, str] = {}
    head: PartHead | None = None
    async with AsyncExitStack() as stack:
        charge = stack.enter_context(byte_charge(request.scope, length))
        uploading: OpenUpload | None = None
        async for part in Form(pieces(request.receive, meter, STALLED), request.headers["content-type"]):
            if part.head.name != FILE:
                check_fields({part.head.name: ""}, FIELDS)
                fields[part.head.name] = await part.text()
                continue
            if uploading is not None:
                raise malformed("it has two parts named 'file', and an import is of one")
            head = part.head
            uploading = await stack.enter_async_context(imports.begin(uploader(request, fields)))
            async for piece in part.pieces():
                charge.count(len(piece))
                await uploading.write(piece)
        if uploading is None or head is None:
            raise ContractViolationError(Violation(FILE, "no such part", "the history, in a part of that name"))
        if (later := uploader(request, fields)) != uploading.user_id:
            raise ContractViolationError(
                Violation("userId", repr(later[:100]), f"{uploading.user_id!r}, or before the file")
            )
        wish = read_wish({"fileName": head.file_name or "", **fields})
        accepted = await imports.accept(uploading, claimed_type(head.content_type), wish)
        charge.keep()
        return accepted


def check_fields(given: Mapping[str, str], known: tuple[str, ...]) -> None:
    """Raise ContractViolationError for a parameter or a field that is not known."""
    for name in given:
        if name not in known:
            rule = nearest(name, known) if known else "no parameters"
            raise ContractViolationError(Violation(excerpt(name), "a parameter of that name", rule))


def read_wish(fields: Mapping[str, str]) -> ImportWish:
    """How a history is to be read. Raises ContractViolationError."""
    timezone = fields.get("timezone") or "UTC"
    rule = f"{PATTERNS[TIMEZONE_PATTERN]}, which this machine knows"
    if len(timezone) > _MAX_TIMEZONE or not _TIMEZONE.search(timezone):
        raise ContractViolationError(Violation("timezone", excerpt(repr(timezone)), rule))
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        raise ContractViolationError(Violation("timezone", repr(timezone), rule)) from None
    dry_run = fields.get("dryRun") or "false"
    if dry_run not in ("true", "false"):
        raise ContractViolationError(Violation("dryRun", excerpt(repr(dry_run)), "true or false"))
    return ImportWish(timezone=timezone, dry_run=dry_run == "true", file_name=file_name(fields.get("fileName")))


def _receipt(found: HistoryImport) -> Response:
    receipt = ImportReceipt(id=found.id, state=found.state, href=f"/v1/imports/{found.id}")
    headers = {"Location": receipt.href, "Cache-Control": "no-store"}
    return Response(msgspec.json.encode(receipt), 202, headers, "application/json")
