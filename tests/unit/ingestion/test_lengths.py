"""Every container and codec is as long as FFmpeg says, which players use, and so is every file of public packages."""

import io
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest

from songline.processors.ingestion.audio.probe import ProbedAudio, probe
from tests.support.sound_variants import Variant, by_ffmpeg, by_ffmpeg_into_pipes, by_sndfile, lengths_ms

PACKAGES = ("sound-theme-freedesktop", "oxygen-sounds", "alsa-utils", "deepin-sound-theme")
ENDINGS = {".oga", ".ogg", ".wav", ".mp3", ".flac", ".m4a", ".opus", ".aiff", ".wma"}


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("make", [by_ffmpeg, by_ffmpeg_into_pipes, by_sndfile])
def test_every_variant_of_every_container_has_its_length(make: Callable[[int], Iterator[Variant]], rate: int) -> None:
    wrong, seen = [], 0
    for name, content, lengths, tolerance in make(rate):
        seen += 1
        answer = probe(io.BytesIO(content))
        found = answer.duration_ms if isinstance(answer, ProbedAudio) else answer.reason.text
        if not isinstance(found, int) or not any(abs(found - length) <= tolerance for length in lengths):
            wrong.append(f"{name}: {found}, expected {lengths}")
    assert not wrong
    assert seen >= 8


def test_every_file_of_public_sound_packages_has_its_length(tmp_path: Path) -> None:
    if shutil.which("apt-get") is None:
        pytest.skip("Debian's packages can't be downloaded without apt-get")
    download = ["apt-get", "download", "-q", *PACKAGES]
    if subprocess.run(download, cwd=tmp_path, capture_output=True, timeout=300).returncode:
        # A new machine has no list of packages, or an old one.
        subprocess.run(["apt-get", "update", "-q"], check=True, capture_output=True, timeout=300)
        subprocess.run(download, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    for package in tmp_path.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, tmp_path / "files"], check=True, timeout=60)
    wrong, seen = [], 0
    for path in sorted((tmp_path / "files").rglob("*")):
        if path.suffix not in ENDINGS or not path.is_file():
            continue
        seen += 1
        content = path.read_bytes()
        answer = probe(io.BytesIO(content))
        found = answer.duration_ms if isinstance(answer, ProbedAudio) else answer.reason.text
        try:
            lengths = lengths_ms(content)
        except av.error.FFmpegError as error:
            lengths = (-1.0, float(error.errno or 0))
        if not isinstance(found, int) or not any(abs(found - length) <= 1 for length in lengths):
            wrong.append(f"{path.name}: {found}, expected {lengths}")
    assert not wrong
    assert seen >= 100
