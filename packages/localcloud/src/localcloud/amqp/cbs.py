"""`$cbs`: tokens for rights (AMQP Claims-based Security 1.0, working draft; Azure's "put-token" operation)."""

import logging
from collections.abc import Callable
from typing import Final

from localcloud.amqp.errors import AmqpError
from localcloud.amqp.message import Message
from localcloud.amqp.receiving_link import ReceivingLink
from localcloud.amqp.types import Int
from localcloud.sas import CredentialError, resource_path

log = logging.getLogger(__name__)

ADDRESS: Final = "$cbs"


def put_token(check: Callable[[str], None], request: Message, link: ReceivingLink) -> Message:
    """Check the token in the body, and remember what it grants to this connection.

    `check` raises AmqpError for the path of an entity that does not exist. A client with rights gets 404 then: clients
    expect it here, not when they attach.
    Application properties of the request: operation `put-token`, name the audience. The kind of token is taken from
    its text: Service Bus clients call a signature a `jwt`.
    """
    connection = link.session.connection
    properties = request.application_properties
    operation, audience, token = properties.get("operation"), properties.get("name"), request.body
    if operation == "delete-token" and isinstance(audience, str):
        connection.grants.pop(resource_path(audience), None)
        return _answer(200, "OK")
    if operation != "put-token" or not isinstance(audience, str) or not isinstance(token, str):
        return _answer(400, "put-token takes the audience as property 'name' and the token as amqp-value.")
    resource = resource_path(audience)
    try:
        grant = connection.keys.check_token(token, resource, connection.now())
    except CredentialError as reason:
        log.warning("token refused: %s", reason)
        return _answer(401, "Unauthorized: the token does not give access.")
    try:
        check(resource)
    except AmqpError as error:
        return _answer(404, error.description)
    connection.grants[resource] = grant
    return _answer(202, "Accepted")


def _answer(status: int, description: str) -> Message:
    return Message(
        application_properties={
            "status-code": Int(status),
            "statusCode": Int(status),
            "status-description": description,
            "statusDescription": description,
        }
    )
