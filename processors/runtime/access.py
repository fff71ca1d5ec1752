"""Whether a service refuses us, rather than being away."""

from aiokafka.errors import KafkaError
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.eventhub.exceptions import AuthenticationError
from azure.servicebus.exceptions import ServiceBusAuthenticationError, ServiceBusAuthorizationError

_REFUSALS = (
    AuthenticationError,
    ClientAuthenticationError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
)


def denies(error: BaseException) -> bool:
    """Whether `error` says that our key or role is refused, which only an operator mends."""
    if isinstance(error, HttpResponseError) and error.status_code in (401, 403):
        return True
    if isinstance(error, KafkaError):
        # Its errors of this kind share nothing but their names.
        return "Auth" in type(error).__name__
    return isinstance(error, _REFUSALS)
