"""Every connector against its samples: `tests/connectors/<slug>/<name>.json` with the records in `<name>.expected`.

`pytest --accept` rewrites the expected files; the difference is read before it is committed.
"""

from pathlib import Path

import pytest

from tracker.connect import catalog
from tracker.connect.replay import load, replay

SAMPLES = sorted((Path(__file__).parent / "connectors").glob("*/*.json"))


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_sample_gives_the_expected_records(file: Path, accept: bool) -> None:
    connector = catalog.find(file.parent.name)
    found = "".join(replay(connector, load(file.read_bytes())))
    expected = file.with_suffix(".expected")
    if accept:
        expected.write_text(found, encoding="utf-8")
    assert expected.is_file(), "no expected file yet: read what `pytest --accept` writes"
    assert found == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("slug", catalog.slugs())
def test_every_resource_has_a_sample_that_asks_for_all_it_holds(slug: str) -> None:
    samples = [load(file.read_bytes()) for file in SAMPLES if file.parent.name == slug]
    assert {sample.resource for sample in samples} == {resource.name for resource in catalog.find(slug).resources}
    for file in SAMPLES:
        if file.parent.name == slug:
            assert "never asked for" not in file.with_suffix(".expected").read_text(encoding="utf-8"), file
            assert load(file.read_bytes()).source.split(":")[0] in ("recorded", "official documentation", "client code")
