"""How a song's file is served: as audio that a browser plays or saves, and as nothing else, whatever it says it is."""

import re
from collections.abc import Mapping

from songline.projections.http.browser_headers import BROWSER_HEADERS, CONTENT_POLICY

ENDINGS: Mapping[str, str] = {
    "audio/aac": "aac",
    "audio/ac3": "ac3",
    "audio/aiff": "aiff",
    "audio/amr": "amr",
    "audio/basic": "au",
    "audio/flac": "flac",
    "audio/mp4": "m4a",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/wav": "wav",
    "audio/webm": "webm",
    "audio/x-ape": "ape",
    "audio/x-caf": "caf",
    "audio/x-dff": "dff",
    "audio/x-musepack": "mpc",
    "audio/x-dsf": "dsf",
    "audio/x-matroska": "mka",
    "audio/x-ms-wma": "wma",
    "audio/x-tta": "tta",
    "audio/x-wavpack": "wv",
}
"""The media types that the ingestion worker finds, with the endings of their files. A SongUploaded of somebody else may
name any other."""

UNKNOWN = "application/octet-stream"


def served_type(content_type: str | None) -> str:
    """The media type of a file that was announced as `content_type`."""
    return content_type if content_type is not None and content_type in ENDINGS else UNKNOWN


def file_headers(song_id: str, content_type: str | None) -> dict[str, str]:
    """The headers by which a file that is opened by itself is saved, and runs nothing."""
    name = re.sub(r"[^A-Za-z0-9_-]", "-", song_id)
    ending = ENDINGS.get(content_type or "", "bin")
    return {
        **BROWSER_HEADERS,
        CONTENT_POLICY: f"{BROWSER_HEADERS[CONTENT_POLICY]}; sandbox",
        "Content-Disposition": f'attachment; filename="{name}.{ending}"',
    }
