"""localcloud for tests: a process, namespaces in it, and the pytest plugin that gives each test one of its own."""

from localcloud.testing.cloud import ControlError, LocalCloud
from localcloud.testing.declarations import Declarations
from localcloud.testing.process import LocalCloudProcess, StartError
from localcloud.testing.waiting import wait_for, wait_for_async

__all__ = [
    "ControlError",
    "Declarations",
    "LocalCloud",
    "LocalCloudProcess",
    "StartError",
    "wait_for",
    "wait_for_async",
]
