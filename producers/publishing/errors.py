"""What publishing raises beside `ContractViolationError`, named after what the caller does about it."""


class TransientError(Exception):
    """The hub could not be reached, or did not take an event, for as long as the publisher tries.

    The event may be there or not: a connection can break between the hub's write and its answer. To publish it again
    later risks a duplicate, and nothing else.
    """


class AccessDeniedError(Exception):
    """The hub isn't there, or refuses our credentials or our request. The operator must mend that."""


class OutboxFullError(TransientError):
    """The outbox can't take the event, which is not accepted. The sender tries again later; the operator sees to it
    that the hub can be reached, or that there is room."""


class OutboxLockedError(Exception):
    """Another process has the outbox. The operator gives each process a file of its own."""
