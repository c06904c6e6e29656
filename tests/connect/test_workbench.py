"""What a new connector starts from holds together, and what one still lacks is said in words."""

import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import msgspec
import pytest

from tracker.connect import workbench
from tracker.connect.connector import Connector
from tracker.connect.replay import load, replay
from tracker.errors import UsageError


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "connectors").mkdir()
    yield tmp_path
    sys.modules.pop("begun", None)


def begun(checkout: Path) -> tuple[Connector, Path]:
    """The connector that `begin` wrote, and the folder of its samples."""
    code, sample = workbench.begin("my-network", checkout)
    spec = spec_from_file_location("begun", code)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    connector = module.connector
    assert isinstance(connector, Connector)
    return connector, sample.parent


def test_what_a_connector_starts_from_replays_and_lacks_only_what_a_person_must_read(checkout: Path) -> None:
    connector, samples = begun(checkout)
    sample = load((samples / "transactions.json").read_bytes())
    [earning, state] = [msgspec.json.decode(line) for line in replay(connector, sample)]
    assert (earning["Earning"]["net"], earning["Earning"]["status"]) == ("12.50", "approved")
    assert state["state"]
    assert list(workbench.faults(connector, samples)) == [
        "transactions.json: no transactions.expected yet: make it with pytest --accept and read it"
    ]


def test_a_finished_connector_has_no_faults_until_its_records_change(checkout: Path) -> None:
    connector, samples = begun(checkout)
    expected = samples / "transactions.expected"
    expected.write_text("".join(replay(connector, load((samples / "transactions.json").read_bytes()))))
    assert list(workbench.faults(connector, samples)) == []
    expected.write_text(expected.read_text().replace("12.50", "12.05"))
    assert list(workbench.faults(connector, samples)) == [
        "transactions.json: transactions.expected differs from what comes out now"
    ]


def test_faults_name_what_is_wrong_with_a_sample(checkout: Path) -> None:
    connector, samples = begun(checkout)
    text = (samples / "transactions.json").read_text()
    (samples / "broken.json").write_text(text[:100])
    (samples / "hearsay.json").write_text(text.replace("official documentation", "a friend said"))
    (samples / "other.json").write_text(text.replace('"page": "1"', '"page": "9"'))
    found = "\n".join(workbench.faults(connector, samples))
    assert "broken.json: not a sample (" in found
    assert "hearsay.json: source must begin with one of: recorded, official documentation, client code" in found
    assert "other.json: does not replay: not in the sample: " in found
    bare = msgspec.structs.replace(connector, options={}, docs="see the wiki")
    assert list(workbench.faults(bare, checkout))[:3] == [
        "no option base_url: without it nobody can test against a stand-in",
        "docs is not the address of the provider's documentation",
        "no sample for the resource transactions",
    ]


@pytest.mark.parametrize("slug", ["", "My", "1a", "a_b", "-a", "a-", "a" * 41, "../x", "a--b"])
def test_a_slug_that_is_none_writes_nothing(checkout: Path, slug: str) -> None:
    with pytest.raises(UsageError, match="not a slug"):
        workbench.begin(slug, checkout)
    assert list(checkout.rglob("*.*")) == []


def test_nothing_that_is_there_is_overwritten(checkout: Path) -> None:
    (checkout / "connectors" / "my_network.py").write_text("mine")
    with pytest.raises(UsageError, match=r"connectors/my_network\.py is there already"):
        workbench.begin("my-network", checkout)
    assert (checkout / "connectors" / "my_network.py").read_text() == "mine"
    assert not (checkout / "tests").exists()
