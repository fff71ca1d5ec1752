"""Errors of the broker, each with the condition that the SDKs know it by.

Conditions: those that the Python and JavaScript clients translate, and part 2, section 2.8.15 of AMQP 1.0. Status
codes are those of the management node and of the administration interface.
"""

from typing import ClassVar


class ServiceBusError(Exception):
    """Base of everything that is refused. `condition` goes over AMQP, `status` over management and HTTP."""

    condition: ClassVar[str] = "amqp:internal-error"
    status: ClassVar[int] = 500


class DamagedBodyError(ServiceBusError):
    """The file of a body no longer holds what was written. The operator must restore it, or purge the message."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is damaged: the body is not what was sent. Restore the file, or delete the message.")


class EntityNotFoundError(ServiceBusError):
    """The client must name another entity, or create this one first."""

    condition = "amqp:not-found"
    status = 404

    def __init__(self, path: str) -> None:
        # JavaScript's client recognises this sentence.
        super().__init__(f"The messaging entity '{path}' could not be found; create it or correct the name.")
        self.path = path


class EntityExistsError(ServiceBusError):
    """The client must choose another name, or update."""

    condition = "com.microsoft:entity-already-exists"
    status = 409


class EntityDisabledError(ServiceBusError):
    """The operator must enable the entity."""

    condition = "com.microsoft:entity-disabled"
    status = 403


class InvalidArgumentError(ServiceBusError):
    """The client must change the request."""

    condition = "com.microsoft:argument-error"
    status = 400


class NotAllowedError(ServiceBusError):
    """The client must use the entity as it was made: with sessions or without, to receive or to send."""

    condition = "amqp:not-allowed"
    status = 400


class UnsupportedError(ServiceBusError):
    """The operation is not supported here."""

    condition = "amqp:not-implemented"
    status = 501


class MessageTooLargeError(ServiceBusError):
    """The client must send less, or a claim check."""

    condition = "amqp:link:message-size-exceeded"
    status = 413


class QuotaExceededError(ServiceBusError):
    """The entity is full: a client must receive, or the operator raise its size."""

    condition = "amqp:resource-limit-exceeded"
    status = 403


class ServerBusyError(ServiceBusError):
    """The client must try again later."""

    condition = "com.microsoft:server-busy"
    status = 503


class OperationTimeoutError(ServiceBusError):
    """Nothing came within the client's time-out."""

    condition = "com.microsoft:timeout"
    status = 408


class MessageLockLostError(ServiceBusError):
    """The lock ended, or was never there: the message will come again."""

    condition = "com.microsoft:message-lock-lost"
    status = 410


class SessionLockLostError(ServiceBusError):
    """The session's lock ended: accept the session again."""

    condition = "com.microsoft:session-lock-lost"
    status = 410


class SessionCannotBeLockedError(ServiceBusError):
    """Another receiver has the session."""

    condition = "com.microsoft:session-cannot-be-locked"
    status = 410


class MessageNotFoundError(ServiceBusError):
    """There is no such message, in the state that was asked for."""

    condition = "com.microsoft:message-not-found"
    status = 404
