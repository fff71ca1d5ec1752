"""Tells which files SQLite syncs, and when: its default VFS with a hook around `xSync`.

The same shared library that the module `sqlite3` uses is changed in place by ctypes; where that module has SQLite built
in, there is nothing to change. Source: https://sqlite.org/c3ref/vfs.html and https://sqlite.org/c3ref/io_methods.html.
"""

import ctypes
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_METHODS = 18
_SYNC = 4
_Sync = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
_Open = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_int)
)
"""SQLite keeps the pointer to the name: it must reach the VFS as it is."""


_KEPT: list[Any] = []
"""What C code may still point to, for as long as the process lives."""


class _IoMethods(ctypes.Structure):
    _fields_ = (("version", ctypes.c_int), ("methods", ctypes.c_void_p * _METHODS))


class _File(ctypes.Structure):
    _fields_ = (("methods", ctypes.POINTER(_IoMethods)),)


class _Vfs(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("path_size", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("open", ctypes.c_void_p),
    )


def library() -> str | None:
    """The shared library that `sqlite3` uses; None where it has SQLite built in."""
    assert sqlite3.sqlite_version
    lines = Path("/proc/self/maps").read_text().splitlines()
    return next((line.split()[-1] for line in lines if "/libsqlite3" in line), None)


@contextmanager
def reporting_syncs(synced: Callable[[Path], None]) -> Iterator[None]:
    """`synced` gets the path of each file after it was synced; databases must be opened and closed in the meantime.

    What it raises is the failure of the sync: SQLite then reports a disk I/O error.
    """
    path = library()
    assert path is not None
    loaded = ctypes.CDLL(path)
    loaded.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
    vfs = loaded.sqlite3_vfs_find(None).contents
    original = vfs.open
    open_file = _Open(original)
    hooked: dict[int, tuple[_IoMethods, Any]] = {}
    names: dict[int, Path] = {}

    def on_open(this: int, name: int | None, file: int, flags: int, out: Any) -> int:
        code = int(open_file(this, name, file, flags, out))
        methods = ctypes.cast(file, ctypes.POINTER(_File)).contents.methods
        if code or not methods or name is None:
            return code
        names[file] = Path(ctypes.string_at(name).decode())
        real = ctypes.addressof(methods.contents)
        if real not in hooked:
            hooked[real] = _hooked(methods.contents, names, synced)
        ctypes.cast(file, ctypes.POINTER(_File)).contents.methods = ctypes.pointer(hooked[real][0])
        return code

    hook = _Open(on_open)
    _KEPT.append((hook, hooked))
    vfs.open = ctypes.cast(hook, ctypes.c_void_p).value
    try:
        yield
    finally:
        vfs.open = original


def _hooked(methods: _IoMethods, names: dict[int, Path], synced: Callable[[Path], None]) -> tuple[_IoMethods, Any]:
    sync = _Sync(methods.methods[_SYNC])

    def on_sync(file: int, flags: int) -> int:
        code = int(sync(file, flags))
        if code == 0:
            try:
                synced(names[file])
            except BaseException:  # noqa: BLE001 - nothing can be raised through C
                return sqlite3.SQLITE_IOERR
        return code

    hook = _Sync(on_sync)
    changed = _IoMethods.from_buffer_copy(methods)
    changed.methods[_SYNC] = ctypes.cast(hook, ctypes.c_void_p).value
    return changed, hook
