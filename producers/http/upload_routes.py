"""The write API: files and wishes in over HTTP, commands out.

`routes` are composed into one app with the read side. What goes wrong is raised as RequestDeclinedError or
ContractViolationError, and that app puts it into words as it does with its own.
"""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import msgspec
from fastapi import APIRouter, FastAPI, Request
from fastapi import Path as InPath
from msgspec import Struct
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from songline.cloud import blobs, cosmos, servicebus
from songline.cloud.settings import BlobSettings, CosmosSettings, ServiceBusSettings
from songline.producers.http.body_pacing import BodyPaceMeter, pieces, started
from songline.producers.http.byte_charge import byte_charge
from songline.producers.http.headers import only
from songline.producers.http.problems import RequestDeclinedError
from songline.producers.http.upload_openapi import REMOVE, UPLOAD
from songline.producers.uploads.catalog_songs import CatalogSongs
from songline.producers.uploads.command_sender import CommandSender
from songline.producers.uploads.form_fields import FILE, check_beside, check_field
from songline.producers.uploads.import_intake import ImportIntake
from songline.producers.uploads.import_records import ImportRecords
from songline.producers.uploads.incoming_file import too_large
from songline.producers.uploads.intake import OpenUpload, UploadIntake, UploadLimits
from songline.producers.uploads.multipart import Form, PartHead, malformed
from songline.producers.uploads.upload_record import UploadRecords
from songline.schemas.channels import DATABASE, IMPORTS, INGESTIONS, UPLOAD_BLOBS
from songline.schemas.commands import MAX_SONG_BYTES, read_metadata
from songline.schemas.decoding import convert, excerpt
from songline.schemas.envelope import uuid7
from songline.schemas.errors import ContractViolationError, PoisonError, Violation
from songline.schemas.forgotten import OUTSIDE_RULE, is_forgotten
from songline.schemas.ingestions import Ingestion, State
from songline.schemas.permission import permission_of
from songline.schemas.texts import clean_file_name
from songline.schemas.types import ID_PATTERN, PATTERNS, MediaType

logger = logging.getLogger("songline.producers.http.upload_routes")

FORM = "multipart/form-data"
ANY = "application/octet-stream"
# What a form has around its file.
FORM_SLACK = 256 * 1024
USER_HEADER = "X-User-Id"
KEY_HEADER = "Idempotency-Key"
FILE_NAME_MAX = 255
STALLED = "Upload stalled"

_ID = re.compile(ID_PATTERN)


class Receipt(Struct, frozen=True, kw_only=True):
    """What an accepted request gets: the ingestion's id, its state, and where it can be looked up. Of a song that never
    was an ingestion, its own id and where it is until it has gone."""

    id: str
    state: State
    href: str


class UploadApiSettings(Struct, frozen=True):
    """The services that the write API needs."""

    servicebus: ServiceBusSettings
    cosmos: CosmosSettings
    blobs: BlobSettings


def routes(wires: UploadApiSettings, limits: UploadLimits) -> APIRouter:
    """The write routes. They start without the services being there, and answer 503 until they are."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            # Retries are ours: the SDK's would hide the cause for longer than a caller waits.
            bus = await stack.enter_async_context(servicebus.client(wires.servicebus, retry_total=0))
            sender = CommandSender(bus, patience_s=limits.patience_s)
            stack.push_async_callback(sender.close)
            store = await stack.enter_async_context(cosmos.opened(wires.cosmos))
            storage = await stack.enter_async_context(blobs.client(wires.blobs))
            catalog = CatalogSongs(partial(cosmos.container, store, DATABASE), time.monotonic)
            records = UploadRecords(cosmos.container(store, DATABASE, INGESTIONS), catalog, limits.patience_s)
            staging = storage.get_container_client(UPLOAD_BLOBS)
            app.state.imports = ImportIntake(
                sender,
                staging,
                ImportRecords(cosmos.container(store, DATABASE, IMPORTS), limits.patience_s),
                limits.patience_s,
                _now,
                _new_id,
            )
            app.state.uploads = UploadIntake(sender, staging, records, limits, _now, _new_id)
            yield

    router = APIRouter(lifespan=lifespan)

    @router.post("/v1/songs", status_code=202, summary="Upload a song", **UPLOAD)
    async def upload(request: Request) -> Response:
        """Send the file as the part `file` of a form, or as the body itself. The answer comes once the upload is safe;
        what becomes of it is told at its `Location`."""
        uploads: UploadIntake = request.app.state.uploads
        media_type = plain_media_type(only(request.headers, "Content-Type") or "")
        if media_type != FORM and media_type != ANY and not media_type.startswith("audio/"):
            raise RequestDeclinedError(
                415,
                "Not a way to send a song",
                f"Content-Type: saw {media_type or 'nothing'!r}, expected {FORM}, audio/* or {ANY}.",
            )
        meter, caller = started(limits.pace), limits.callers.of(request.scope)
        with uploads.slot(caller, meter, asyncio.get_running_loop().time):
            try:
                if media_type == FORM:
                    return _receipt(await _from_form(request, uploads, meter))
                return _receipt(await _from_body(request, uploads, meter, media_type))
            except ClientDisconnect:
                logger.info("an upload was broken off by its sender")
                return Response(status_code=400)

    @router.delete("/v1/songs/{song_id}", status_code=202, summary="Remove a song", **REMOVE)
    async def remove(
        request: Request, song_id: Annotated[str, InPath(description="The id that its upload got")]
    ) -> Response:
        """The song disappears from catalog, charts and audio. Only its uploader may ask for that."""
        uploads: UploadIntake = request.app.state.uploads
        user_id = uploader(request, request.query_params)
        if not _ID.search(song_id):
            raise RequestDeclinedError(
                404, "No such song", f"{song_id[:100]!r} is no song's id: expected {PATTERNS[ID_PATTERN]}."
            )
        known = await uploads.remove(user_id, song_id, only(request.headers, KEY_HEADER))
        if known is None:
            # There is nothing but the song itself to look at.
            return _accepted(Receipt(id=song_id, state="ready", href=f"/v1/songs/{song_id}"))
        return _receipt(known)

    return router


def uploader(request: Request, fields: Mapping[str, str]) -> str:
    """The user who uploads or removes: `X-User-Id` or the field `userId`, else the one whom the token is about.

    Raises ContractViolationError, and NotPermittedError for another user than the caller may act for.
    """
    permission = permission_of(request.scope)
    names = {value for value in (*request.headers.getlist(USER_HEADER), fields.get("userId")) if value}
    if not names and permission.subject:
        names = {permission.subject}
    if not names:
        raise ContractViolationError(
            Violation("userId", "nothing", "the header X-User-Id, or a field userId that is before the file")
        )
    if len(names) > 1:
        raise ContractViolationError(
            Violation("userId", excerpt(" and ".join(sorted(names))), "one user in X-User-Id and userId")
        )
    (user_id,) = names
    if not _ID.search(user_id):
        raise ContractViolationError(Violation("userId", repr(user_id[:100]), PATTERNS[ID_PATTERN]))
    if is_forgotten(user_id):
        raise ContractViolationError(Violation("userId", repr(user_id), OUTSIDE_RULE))
    permission.check("userId", user_id)
    return user_id


def file_name(text: str | None) -> str | None:
    """The last part of a path, clean."""
    return clean_file_name(text, FILE_NAME_MAX)


async def _from_form(request: Request, uploads: UploadIntake, meter: BodyPaceMeter) -> Ingestion:
    check_beside(request.query_params)
    length = body_length(request, MAX_SONG_BYTES + FORM_SLACK)
    fields: dict[str, str] = {}
    head: PartHead | None = None
    async with AsyncExitStack() as stack:
        charge = stack.enter_context(byte_charge(request.scope, length))
        uploading: OpenUpload | None = None
        async for part in Form(pieces(request.receive, meter, STALLED), request.headers["content-type"]):
            check_field(part.head.name, fields)
            if part.head.name != FILE:
                fields[part.head.name] = await part.text()
                continue
            if uploading is not None:
                raise malformed("it has two parts named 'file', and a song is one")
            head = part.head
            user_id = uploader(request, fields)
            uploading = await stack.enter_async_context(await uploads.begin(user_id, only(request.headers, KEY_HEADER)))
            async for piece in part.pieces():
                charge.count(len(piece))
                await uploading.write(piece)
        if uploading is None or head is None:
            raise ContractViolationError(Violation(FILE, "no such part", "the song's file, in a part of that name"))
        later = uploader(request, fields)
        if later != user_id:
            raise ContractViolationError(Violation("userId", repr(later[:100]), f"{user_id!r}, or before the file"))
        accepted = await uploads.accept(
            uploading, claimed_type(head.content_type), file_name(head.file_name), read_metadata(fields)
        )
        charge.keep()
        return accepted


async def _from_body(request: Request, uploads: UploadIntake, meter: BodyPaceMeter, media_type: str) -> Ingestion:
    length = body_length(request, MAX_SONG_BYTES)
    fields = request.query_params
    user_id = uploader(request, fields)
    said = read_metadata(fields)
    with byte_charge(request.scope, length) as charge:
        async with await uploads.begin(user_id, only(request.headers, KEY_HEADER)) as uploading:
            async for piece in pieces(request.receive, meter, STALLED):
                charge.count(len(piece))
                await uploading.write(piece)
            accepted = await uploads.accept(
                uploading, claimed_type(media_type), file_name(fields.get("fileName")), said
            )
            charge.keep()
            return accepted


def body_length(request: Request, most: int) -> int | None:
    """What the request says of its length, None where it says nothing; raises RequestDeclinedError."""
    text = request.headers.get("content-length", "")
    if not text.isdecimal():
        return None
    if int(text) > most:
        raise too_large(f"{text} bytes")
    return int(text)


def plain_media_type(header: str) -> str:
    """A media type without parameters, in lower case."""
    return header.partition(";")[0].strip().lower()


def claimed_type(content_type: str) -> str:
    """The media type that a sender claims, in the form that the contract has."""
    try:
        claimed: str = convert(plain_media_type(content_type), MediaType)
    except PoisonError:
        return ANY
    return claimed


def _receipt(ingestion: Ingestion) -> Response:
    return _accepted(Receipt(id=ingestion.id, state=ingestion.state, href=f"/v1/ingestions/{ingestion.id}"))


def _accepted(receipt: Receipt) -> Response:
    headers = {"Location": receipt.href, "Cache-Control": "no-store"}
    return Response(msgspec.json.encode(receipt), 202, headers, "application/json")


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return uuid7(time.time_ns() // 1_000_000, secrets.randbits(74))
