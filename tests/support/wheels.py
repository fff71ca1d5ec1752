"""Wheels of the project and of what is installed here, so that installation is tested without an index."""

import base64
import hashlib
import re
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution, distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def build(project: Path, folder: Path) -> Path:
    """Build the wheel of `project` into `folder`; return its path."""
    before = set(folder.glob("*.whl"))
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    (made,) = set(folder.glob("*.whl")) - before
    return made


def build_through_source(project: Path, folder: Path) -> Path:
    """Build the wheel of `project` from its source distribution, both in `folder`; return the wheel's path."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder)]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    (packed,) = folder.glob("*.tar.gz")
    subprocess.run(["tar", "-xzf", packed, "-C", folder], check=True)
    return build(folder / packed.name.removesuffix(".tar.gz"), folder)


def pack_installed(folder: Path, lock: Path) -> None:
    """Pack every distribution that is installed here and that `lock` names, as a wheel into `folder`."""
    names = {line.partition("==")[0] for line in lock.read_text().splitlines() if re.match(r"[a-z0-9]", line)}
    for distribution in distributions():
        if re.sub(r"[-_.]+", "-", distribution.name).lower() in names:
            _pack(distribution, folder)


def _pack(distribution: Distribution, folder: Path) -> None:
    """Source: the PyPA specification "Binary distribution format"; scripts outside of site-packages are left out."""
    wheel = distribution.read_text("WHEEL") or ""
    tags = [line.removeprefix("Tag: ") for line in wheel.splitlines() if line.startswith("Tag: ")]
    name = distribution.name.replace("-", "_").replace(".", "_")
    record = f"{name}-{distribution.version}.dist-info/RECORD"
    rows = []
    with zipfile.ZipFile(folder / f"{name}-{distribution.version}-{_joined(tags)}.whl", "w") as packed:
        for file in distribution.files or ():
            place = Path(str(distribution.locate_file(file)))
            if file.parts[0] == ".." or file.suffix == ".pyc" or not place.is_file():
                continue
            if file.parts[0].endswith(".dist-info") and file.name == "RECORD":
                continue
            target = file.as_posix()
            if file.parts[0].endswith(".dist-info"):
                target = "/".join([record.split("/")[0], *file.parts[1:]])
            body = place.read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
            rows.append(f"{target},sha256={digest},{len(body)}")
            entry = zipfile.ZipInfo(target)
            # An installer takes from here whether a file is a program.
            entry.external_attr = place.stat().st_mode << 16
            packed.writestr(entry, body)
        packed.writestr(record, "\n".join([*rows, f"{record},,"]) + "\n")


def _joined(tags: list[str]) -> str:
    """Tags of one wheel as its file name has them: each part's choices joined by dots."""
    columns = zip(*(tag.split("-") for tag in tags), strict=True)
    return "-".join(".".join(dict.fromkeys(column)) for column in columns)


class Environment:
    """An empty virtual environment in `folder` that installs from `wheels` alone."""

    def __init__(self, folder: Path, wheels: Path) -> None:
        self._wheels = wheels
        self.python = folder / "bin" / "python"
        subprocess.run([BIN / "uv", "venv", "-q", "-p", sys.executable, folder], check=True)

    def install(self, *requirements: str) -> None:
        """Install without any index; raises CalledProcessError, with uv's words on standard error."""
        command: list[str | Path] = [
            BIN / "uv",
            "pip",
            "install",
            "-q",
            "-p",
            self.python,
            "--no-index",
            "--find-links",
            self._wheels,
        ]
        subprocess.run([*command, *requirements], check=True)

    def packages(self) -> list[str]:
        """The names of what is installed."""
        listed = subprocess.run(
            [BIN / "uv", "pip", "list", "-q", "-p", self.python, "--format", "freeze"],
            check=True,
            capture_output=True,
            text=True,
        )
        return [line.partition("==")[0] for line in listed.stdout.split()]
