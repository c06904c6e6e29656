"""Files of others come as they were published, with their licence, and are named with their version."""

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.vendored import FOLDER, listed, sum_of, taken


def test_every_file_of_others_is_the_published_one() -> None:
    files = {file.name: file for file in listed()}
    there = {path.name for path in FOLDER.iterdir()} - {"vendor.toml"}
    assert there == set(files)
    for name, file in files.items():
        assert sum_of((FOLDER / name).read_bytes()) == file.sha256, name
    assert "chart.LICENSE.md" in there


def test_a_file_that_is_not_the_published_one_is_refused(tmp_path: Path) -> None:
    file = listed()[0]
    good = (FOLDER / file.name).read_bytes()
    archive = tmp_path / "package.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo(file.path)
        member.size = len(good)
        tar.addfile(member, io.BytesIO(good))
    assert taken(archive, file) == good
    with pytest.raises(ValueError, match="has the sum"):
        taken(archive, replace(file, sha256="0" * 64))
