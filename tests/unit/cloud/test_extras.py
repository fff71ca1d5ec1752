"""A process imports its modules while Python's collector rests, and no longer."""

import gc
from types import SimpleNamespace

import pytest

from songline.cloud import extras


def test_the_collector_rests_while_a_process_imports_its_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    enabled = list[bool]()

    def imported(name: str) -> SimpleNamespace:
        enabled.append(gc.isenabled())
        return SimpleNamespace(main=lambda: enabled.append(gc.isenabled()))

    monkeypatch.setattr(extras, "import_module", imported)
    extras.start("songline.anything", "workers")
    assert enabled == [False, True]


def test_the_collector_goes_on_where_a_module_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name="aiokafka")

    monkeypatch.setattr(extras, "import_module", missing)
    with pytest.raises(SystemExit, match="aiokafka, which is not installed"):
        extras.start("songline.anything", "workers")
    assert gc.isenabled()
