"""Whatever is asked, the API answers as its document says, and never with a fault of its own."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case, CheckContext, Response
from schemathesis.filters import HasAPIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_schema_conformance,
    status_code_conformance,
)

from songline.api import openapi
from songline.api.app import ApiSettings, compose
from songline.api.guard_settings import OPEN
from songline.processes.local_identity import OPEN_HERE
from tests.support.api import ApiProcess


def no_fault(context: CheckContext, response: Response, case: Case[Any]) -> None:
    """A fault is ours; an answer that names when to come again (a position that is not reached yet) is none."""
    assert response.status_code < 500 or "retry-after" in response.headers, response.text


# The last one sends what was answered again, without a token and with one that is none.
CHECKS = [no_fault, status_code_conformance, content_type_conformance, response_schema_conformance, ignored_auth]


STREAMED = {"text/event-stream", "application/x-ndjson"}


def is_streamed(context: HasAPIOperation) -> bool:
    """Whether its answer is written as it is made: of some there is no end, others take long."""
    return bool(STREAMED & context.operation.definition.raw["responses"].get("200", {}).get("content", {}).keys())


# Of an API that is as open as the one that is asked.
DOCUMENT = compose(ApiSettings.read({**openapi.COMPLETE, OPEN: OPEN_HERE})).openapi()


def test_only_streams_are_left_out() -> None:
    streams = [
        (method, path)
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
        if STREAMED & operation["responses"].get("200", {}).get("content", {}).keys()
    ]
    assert sorted(streams) == [
        ("get", "/v1/ingestions/{ingestion_id}/events"),
        ("get", "/v1/listeners/{user_id}/export"),
        ("get", "/v1/live"),
        ("get", "/v1/now-playing"),
        ("get", "/v1/users/{user_id}/now-playing"),
    ]


@(schemathesis.openapi.from_dict(DOCUMENT).exclude(is_streamed).parametrize())
# A body of `audio/*` goes the way of one of `application/octet-stream`, which is tried.
@pytest.mark.filterwarnings("ignore:Skipped test cases with unsupported payload media types:UserWarning")
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_the_document_says(case: Case[Any], api: ApiProcess) -> None:
    # A moment of the past may take the API two minutes, and wait for one that nobody waits for any more.
    case.call_and_validate(base_url=api.address, headers=api.headers, checks=CHECKS, timeout=250)
