"""What may be skipped where: a developer may lack a browser, a continuous integration may not."""

import os

import pytest

MAY_BE_SKIPPED = ("A small file system can't be mounted here", "elsewhere a port that is kept can't be listened on")
"""What hangs on rights or on the operating system, and not on something that could be installed."""

_NAME = "skips in continuous integration"


def configure(config: pytest.Config) -> None:
    """Have a run in continuous integration fail for what it skips."""
    if not SkipsInContinuousIntegration.wanted() or hasattr(config, "workerinput"):
        return
    if not config.pluginmanager.has_plugin(_NAME):  # by the tests of another distribution, in the same run
        config.pluginmanager.register(SkipsInContinuousIntegration(), _NAME)


class SkipsInContinuousIntegration:
    """Where `CI` is set, a run with other tests skipped fails, and says which."""

    def __init__(self) -> None:
        self._skipped: list[str] = []

    @classmethod
    def wanted(cls) -> bool:
        return os.environ.get("CI", "").lower() in ("1", "true")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
        if report.skipped and not hasattr(report, "wasxfail") and not any(may in reason for may in MAY_BE_SKIPPED):
            self._skipped.append(f"{report.nodeid}: {reason}")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._skipped and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._skipped:
            terminalreporter.section("skipped, which CI does not allow")
            terminalreporter.write_line("\n".join(dict.fromkeys(self._skipped)))
