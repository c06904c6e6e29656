"""The catalogue of providers: our own files and those of installed packages."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pretend import network
from tests.world import forget_catalog, register, unregister
from tracker.connect import catalog
from tracker.connect.connector import Connector
from tracker.errors import UsageError


@pytest.fixture
def third_party(tmp_path: Path) -> Iterator[Path]:
    register(tmp_path)
    yield tmp_path
    unregister(tmp_path)


def test_every_file_of_ours_is_a_connector() -> None:
    assert {"awin", "cj", "stripe", "woocommerce", "ghost"} <= set(catalog.slugs())
    for slug in catalog.slugs():
        found = catalog.find(slug)
        assert isinstance(found, Connector)
        assert len({resource.name for resource in found.resources}) == len(found.resources)


def test_a_package_adds_a_provider_by_an_entry_point(third_party: Path) -> None:
    assert catalog.find("pretend-network") is network
    assert "pretend-bank" in catalog.slugs()


def test_a_package_that_gives_something_else_is_named(third_party: Path) -> None:
    (third_party / "pretend-1.0.dist-info" / "entry_points.txt").write_text(
        "[tracker.connectors]\npretend-word = tests.pretend:KEY\n"
    )
    forget_catalog()
    with pytest.raises(UsageError, match="'pretend-word' is not a Connector"):
        catalog.find("pretend-word")


@pytest.mark.parametrize("slug", ["awni", "Awin", "../awin", "os", "", "x" * 10_000])
def test_an_unknown_provider_is_not_imported_and_near_names_are_offered(slug: str) -> None:
    before = set(sys.modules)
    with pytest.raises(UsageError, match="no provider is called") as unknown:
        catalog.find(slug)
    assert len(str(unknown.value)) < 200
    assert {name for name in set(sys.modules) - before if name.startswith("connectors.")} == set()
    if slug.lower() in ("awni", "awin"):
        assert "Did you mean awin" in str(unknown.value)
