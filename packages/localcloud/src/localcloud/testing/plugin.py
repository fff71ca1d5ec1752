"""The pytest plugin: a fixture `localcloud`, a namespace of its own for each test, in one process for the run."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

import pytest

if TYPE_CHECKING:
    # Not when pytest starts: most runs in an environment that has this plugin don't use it.
    from localcloud.testing import Declarations, LocalCloud, LocalCloudProcess

MARKER = (
    "localcloud(hubs, queues, topics, containers, config, servicebus_config, blobs, throttle, create_topics): "
    "what the fixture `localcloud` holds for this test, laid over what the settings declare"
)
TAIL_LINES = 40


@dataclass
class _Timings:
    """Seconds that localcloud took: to start its process, to open and to close each namespace."""

    start_s: float = 0.0
    open_s: list[float] = field(default_factory=list)
    close_s: list[float] = field(default_factory=list)


class _Run:
    """What the hooks know of this run."""

    def __init__(self) -> None:
        self.process: LocalCloudProcess | None = None
        self.timings = _Timings()
        self.of_workers: dict[str, _Timings] = {}
        self.log_begin = 0

    def log_size(self) -> int:
        return self.process.log_file.stat().st_size if self.process and self.process.log_file.exists() else 0

    def log_tail(self) -> str:
        """The last lines that the process wrote since the test began."""
        if not self.log_size():
            return ""
        assert self.process is not None
        with self.process.log_file.open("rb") as log:
            log.seek(self.log_begin)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-TAIL_LINES:])


_RUN = pytest.StashKey[_Run]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("localcloud", "Azure on this machine")
    group.addoption(
        "--localcloud-data",
        metavar="DIR",
        help="where localcloud keeps its data and its log; without it in pytest's temporary folder",
    )
    parser.addini("localcloud_hubs", "event hubs: NAME PARTITIONS, a line each", type="linelist")
    parser.addini("localcloud_queues", "Service Bus queues: NAME, a line each", type="linelist")
    parser.addini("localcloud_topics", "Service Bus topics: NAME SUBSCRIPTION …, a line each", type="linelist")
    parser.addini("localcloud_containers", "Cosmos DB: DATABASE/CONTAINER /PARTITION_KEY, a line each", type="linelist")
    parser.addini("localcloud_config", "files in the form of the Event Hubs emulator's Config.json", type="paths")
    parser.addini("localcloud_servicebus_config", "likewise, of the Service Bus emulator", type="paths")
    parser.addini("localcloud_blobs", "every namespace has Blob Storage", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    config.stash[_RUN] = _Run()


@pytest.fixture(scope="session")
def localcloud_process(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[LocalCloudProcess]":
    """The process of this run (with xdist: of this worker); its `namespace(Declarations(…))` opens more namespaces."""
    from localcloud.testing import LocalCloudProcess

    chosen = request.config.getoption("--localcloud-data")
    worker = getattr(request.config, "workerinput", {}).get("workerid", "main")
    data = Path(chosen) / worker if chosen else tmp_path_factory.mktemp("localcloud")
    run = request.config.stash[_RUN]
    run.process = LocalCloudProcess(data.resolve())
    began = time.monotonic()
    run.process.start()
    run.timings.start_s = time.monotonic() - began
    try:
        yield run.process
    finally:
        run.process.stop()


@pytest.fixture
def localcloud(request: pytest.FixtureRequest, localcloud_process: "LocalCloudProcess") -> "Iterator[LocalCloud]":
    """A namespace for this test alone, with what the settings and the marker `localcloud` declare."""
    run = request.config.stash[_RUN]
    declared = _declared(request)
    if not localcloud_process.is_running:  # a test has killed it
        localcloud_process.restart()
    began = time.monotonic()
    name, opened = localcloud_process.open(declared)
    run.timings.open_s.append(time.monotonic() - began)
    yield opened
    began = time.monotonic()
    try:
        localcloud_process.close(name)
    except URLError as error:
        if localcloud_process.is_running:
            raise
        pytest.fail(f"localcloud ended while the test ran: {error.reason}", pytrace=False)
    run.timings.close_s.append(time.monotonic() - began)


def _declared(request: pytest.FixtureRequest) -> "Declarations":
    from localcloud.testing import Declarations

    config = request.config
    try:
        declared = Declarations(
            hubs={name: int(count) for name, count in map(_pair, config.getini("localcloud_hubs"))},
            queues=config.getini("localcloud_queues"),
            topics={name: rest for name, *rest in map(str.split, config.getini("localcloud_topics"))},
            containers=dict(map(_pair, config.getini("localcloud_containers"))),
            config=config.getini("localcloud_config"),
            servicebus_config=config.getini("localcloud_servicebus_config"),
            blobs=config.getini("localcloud_blobs"),
        )
        for marker in reversed(list(request.node.iter_markers("localcloud"))):
            if marker.args:
                raise TypeError(f"the marker localcloud has {marker.args!r}; expected keywords only")
            declared = Declarations.check(marker.kwargs, "the marker localcloud").over(declared)
    except (TypeError, ValueError) as error:
        pytest.fail(str(error), pytrace=False)
    return declared


def _pair(line: str) -> tuple[str, str]:
    words = line.split()
    if len(words) != 2:
        raise ValueError(f"saw the setting {line!r}, expected two words")
    return words[0], words[1]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    run = item.config.stash[_RUN]
    run.log_begin = run.log_size()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome: Any = yield
    report: pytest.TestReport = outcome.get_result()
    if report.failed and "localcloud_process" in getattr(item, "fixturenames", ()):
        tail = item.config.stash[_RUN].log_tail()
        if tail:
            report.sections.append((f"log of localcloud, last {TAIL_LINES} lines at most", tail))


def pytest_sessionfinish(session: pytest.Session) -> None:
    run = session.config.stash[_RUN]
    if run.process is not None and hasattr(session.config, "workeroutput"):
        session.config.workeroutput["localcloud"] = asdict(run.timings)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of xdist has ended: take over its timings."""
    timings = getattr(node, "workeroutput", {}).get("localcloud")
    if timings:
        node.config.stash[_RUN].of_workers[node.gateway.id] = _Timings(**timings)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    run = config.stash[_RUN]
    own = {"": run.timings} if run.process is not None else {}
    for name, timings in {**own, **run.of_workers}.items():
        terminalreporter.write_line(f"localcloud{f' of {name}' if name else ''}: {_summary(timings)}")


def _summary(timings: _Timings) -> str:
    count = len(timings.open_s)
    line = f"process started in {timings.start_s:.2f} s, {count} namespace{'' if count == 1 else 's'}"
    if timings.open_s:
        line += f", opened in {_mean(timings.open_s):.2f} s each (at most {max(timings.open_s):.2f} s)"
    if timings.close_s:
        line += f", closed in {_mean(timings.close_s):.2f} s each (at most {max(timings.close_s):.2f} s)"
    return line


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
