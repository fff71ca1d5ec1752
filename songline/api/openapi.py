"""`python -m songline.api.openapi` writes the OpenAPI document of the whole API, `schemas/published/openapi.json`."""

import json
from typing import Any

from songline.api.app import ApiSettings, compose
from songline.api.erasure_setting import ERASURES
from songline.cloud.settings import (
    BLOB_ENDPOINT,
    COSMOS_ENDPOINT,
    EVENTHUB_NAMESPACE,
    SERVICEBUS_NAMESPACE,
)
from songline.identity.settings import AUDIENCE, ISSUER
from songline.processes.environment import OUTBOX
from songline.schemas.publish import OPENAPI, PUBLISHED

# The set of configured services decides which routes exist. Their addresses don't appear in the document.
COMPLETE = {
    EVENTHUB_NAMESPACE: "songline.servicebus.windows.net",
    SERVICEBUS_NAMESPACE: "songline.servicebus.windows.net",
    BLOB_ENDPOINT: "https://songline.blob.core.windows.net/",
    COSMOS_ENDPOINT: "https://songline.documents.azure.com:443/",
    OUTBOX: "outbox.sqlite",
    ERASURES: "on",
    ISSUER: "https://login.songline.example",
    AUDIENCE: "songline",
}


def document() -> dict[str, Any]:
    """The document of an API that has every service. Opens no connection."""
    return compose(ApiSettings.read(COMPLETE)).openapi()


def text() -> str:
    """The document as it is published. The same routes give the same bytes."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    (PUBLISHED / OPENAPI).write_text(text(), encoding="utf-8")
