"""Every profile against invented files in the shape of its source: `files/<name>` with `<name>.expected` beside it."""

from pathlib import Path

import pytest

from tests.statements.told import told, understood
from tracker.statements.profiles import shelf

FILES = sorted(file for file in (Path(__file__).parent / "files").iterdir() if file.suffix != ".expected")
#: What these files do not say themselves.
ASKED = {"amazon-us.csv": {"currency": "USD"}, "bank-pair.txt": {"currency": "GBP"}}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_statement_gives_the_expected_records(file: Path, accept: bool) -> None:
    found = told(understood(file, **ASKED.get(file.name, {})))
    expected = file.with_name(f"{file.name}.expected")
    if accept:
        expected.write_text(found, encoding="utf-8")
    assert expected.is_file(), "no expected file yet: read what `pytest --accept` writes"
    assert found == expected.read_text(encoding="utf-8")


def test_every_profile_has_a_file() -> None:
    tried = {file.read_text("utf-8").partition(":")[0] for file in FILES[0].parent.glob("*.expected")}
    assert tried == set(shelf.slugs())
