"""The pytest plugin, in test runs of their own: pytest as another project would run it."""

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[3] / "README.md"
DEADLINE_S = 120


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest over the tests in `folder`, with no setting of this project."""
    (folder / "pytest.ini").touch()
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:asyncio",
            "--strict-markers",
            "-W",
            "error",
            *arguments,
        ],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )


def example() -> str:
    """The tests that the README shows."""
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    return str(code)


def test_the_example_of_the_readme_passes_with_a_process_for_each_worker(tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text(example())
    done = run(tmp_path, "-n", "2")
    assert done.returncode == 0, done.stdout
    assert re.search(r"^=+ 4 passed", done.stdout, re.MULTILINE), done.stdout
    told = re.findall(r"^localcloud of (\w+): process started in [\d.]+ s, (\d) namesp", done.stdout, re.MULTILINE)
    assert {worker for worker, _ in told} == {"gw0", "gw1"}
    assert sum(int(count) for _, count in told) == 4


DECLARED = """
import pytest

pytestmark = pytest.mark.localcloud(hubs={"orders": 2, "prices": 1})


def hubs(localcloud):
    return {hub["name"]: len(hub["partitions"]) for hub in localcloud.control("GET", "/hubs")}


def test_settings_and_markers_are_laid_over_each_other(localcloud):
    assert hubs(localcloud) == {"orders": 2, "prices": 1, "mails": 3}


@pytest.mark.localcloud(hubs={"orders": 5}, topics={"news": ["mail"]})
def test_the_nearest_marker_counts(localcloud):
    assert hubs(localcloud) == {"orders": 5, "prices": 1, "mails": 3}


@pytest.mark.localcloud(hub={"orders": 5})
def test_an_unknown_word_is_an_error(localcloud):
    pass


@pytest.mark.localcloud({"orders": 5})
def test_a_value_without_a_word_is_an_error(localcloud):
    pass


@pytest.mark.localcloud(hubs={"orders": 0})
def test_what_localcloud_refuses_is_an_error(localcloud):
    pass


@pytest.fixture(scope="module")
def shop(localcloud_process):
    from localcloud.testing import Declarations

    with localcloud_process.namespace(Declarations(hubs={"shop": 1})) as cloud:
        yield cloud


def test_a_wider_fixture_opens_a_namespace_of_its_own(shop, localcloud):
    assert hubs(shop) == {"shop": 1}


def test_one_that_fails_shows_the_log(localcloud, localcloud_process):
    with localcloud_process.log_file.open("a") as log:
        log.write("a line of this test\\n")
    assert hubs(localcloud) == {}
"""

KILLED = """
def test_one_that_kills_the_process_fails(localcloud, localcloud_process):
    localcloud_process.process.kill()
    localcloud_process.process.wait()


def test_the_next_one_has_a_process_again(localcloud):
    assert localcloud.control("GET", "/hubs")
"""


def test_what_is_declared_wrong_or_fails_is_said(tmp_path: Path) -> None:
    (tmp_path / "test_declared.py").write_text(DECLARED)
    (tmp_path / "test_killed.py").write_text(KILLED)
    done = run(tmp_path, "-o", "localcloud_hubs=mails 3", "--localcloud-data", "data", "-rA")
    lines = re.findall(r"^(\w+) test_\w+\.py::(\w+)", done.stdout, re.MULTILINE)
    ended = {name: outcome for outcome, name in lines}
    assert ended == {
        "test_settings_and_markers_are_laid_over_each_other": "PASSED",
        "test_the_nearest_marker_counts": "PASSED",
        "test_an_unknown_word_is_an_error": "ERROR",
        "test_a_value_without_a_word_is_an_error": "ERROR",
        "test_what_localcloud_refuses_is_an_error": "ERROR",
        "test_a_wider_fixture_opens_a_namespace_of_its_own": "PASSED",
        "test_one_that_fails_shows_the_log": "FAILED",
        "test_one_that_kills_the_process_fails": "ERROR",
        "test_the_next_one_has_a_process_again": "PASSED",
    }, done.stdout
    assert "the marker localcloud has hub; expected some of hubs, queues" in done.stdout
    assert "expected keywords only" in done.stdout
    assert "`int` >= 1" in done.stdout
    assert re.search(r"log of localcloud, last 40 lines at most -+\na line of this test\n", done.stdout), done.stdout
    assert "localcloud ended while the test ran" in done.stdout
    assert (tmp_path / "data" / "main" / "localcloud.log").exists()


def test_a_run_without_the_fixture_starts_nothing_and_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_none.py").write_text("def test_none():\n    pass\n")
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "localcloud" not in done.stdout.partition("plugins:")[2].partition("\n")[2]
