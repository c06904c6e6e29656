"""The profiles come along when the tracker is installed, not only in a checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from shutil import copy, copytree, ignore_patterns

from tracker.statements.profiles import shelf

ROOT = Path(__file__).parents[2]
BUILD = "import sys; from setuptools.build_meta import build_wheel; print(build_wheel(sys.argv[1]))"
ASK = "from tracker.statements.profiles import shelf; print(shelf._shipped()); print(*shelf.slugs())"


def test_a_wheel_carries_every_profile_and_finds_it(tmp_path: Path) -> None:
    source, wheels, site = tmp_path / "source", tmp_path / "wheels", tmp_path / "lib" / "site-packages"
    for folder in ("tracker", "workers", "connectors", "config"):
        copytree(ROOT / folder, source / folder, ignore=ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        copy(ROOT / file, source)
    command = [sys.executable, "-W", "ignore", "-c", BUILD, str(wheels)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=120)
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
        record = next(name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
    # What an installer does with the part of a wheel that is neither code nor metadata: into the prefix, and noted.
    (data,) = site.glob("*.data")
    copytree(data / "data", tmp_path, dirs_exist_ok=True)
    noted = (site / record).read_text("utf-8").replace(f"{data.name}/data/", "../../")
    (site / record).write_text(noted, "utf-8")
    found = subprocess.run(
        [sys.executable, "-c", ASK], env={**os.environ, "PYTHONPATH": str(site)}, cwd=tmp_path, check=True,
        capture_output=True, text=True, timeout=60,
    ).stdout.splitlines()  # fmt: skip
    assert found == [str(tmp_path / "share" / "income-tracker" / "statements"), " ".join(shelf.slugs())]


def test_the_container_s_build_takes_them_along() -> None:
    assert "COPY config config" in (ROOT / "Dockerfile").read_text("utf-8")
