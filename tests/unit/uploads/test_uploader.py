"""Whose an upload is: as it says itself, and as far as the caller may say so."""

import pytest
from starlette.requests import Request

from songline.producers.http.upload_routes import uploader
from songline.schemas.errors import ContractViolationError
from songline.schemas.permission import STATE, NotPermittedError, Permission

OWN = Permission("ada", for_subject=True, for_everybody=False, wider="admin", challenge="Bearer")
ADMIN = Permission("desk", for_subject=False, for_everybody=True, wider="admin", challenge="Bearer")
NEITHER = Permission("ada", for_subject=False, for_everybody=False, wider="admin", challenge="Bearer")


def request(permission: Permission | None, *users: str) -> Request:
    state = {} if permission is None else {STATE: permission}
    headers = [(b"x-user-id", user.encode()) for user in users]
    return Request({"type": "http", "headers": headers, "state": state})


@pytest.mark.parametrize(
    ("permission", "headers", "field", "found"),
    [
        (None, ["ada"], None, "ada"),
        (None, [], "grace", "grace"),
        (OWN, [], None, "ada"),
        (OWN, ["ada"], "ada", "ada"),
        (ADMIN, ["ada"], None, "ada"),
        (ADMIN, [], None, "desk"),
    ],
)
def test_an_upload_is_whose_it_says(
    permission: Permission | None, headers: list[str], field: str | None, found: str
) -> None:
    assert uploader(request(permission, *headers), {} if field is None else {"userId": field}) == found


@pytest.mark.parametrize(
    ("permission", "headers", "rule"),
    [
        (None, [], "userId: saw nothing"),
        (OWN, ["ada", "grace"], "one user"),
        (OWN, ["two words"], "userId: saw 'two words'"),
        (None, ["forgotten:" + "0" * 32], "userId: saw 'forgotten:"),
    ],
)
def test_an_upload_of_nobody_is_refused(permission: Permission | None, headers: list[str], rule: str) -> None:
    with pytest.raises(ContractViolationError, match=rule):
        uploader(request(permission, *headers), {})


@pytest.mark.parametrize("permission", [OWN, NEITHER])
def test_an_upload_of_another_is_refused(permission: Permission) -> None:
    for user in ("grace", "Ada"):
        with pytest.raises(NotPermittedError, match=f"userId: saw '{user}', expected 'ada'.* the scope admin"):
            uploader(request(permission, user), {})
