"""The provider pages against the connectors. The index and the last section of each page are made here (`--accept`)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tracker import records
from tracker.connect import catalog, plans
from tracker.connect.connector import Connector, Resource
from tracker.connect.replay import load

ROOT = Path(__file__).parents[1]
PAGES, SAMPLES = ROOT / "docs" / "providers", ROOT / "tests" / "connectors"
HEAD = """# Providers

Made from the connectors and their samples by `pytest tests/test_provider_docs.py --accept`, not by hand. A provider's
page tells how to connect it, what each of its words and dates means, and what is known to be missing.

- **Statuses**: what the provider itself can say. An earning that was approved and is declined later becomes reversed.
- **Payouts**: read, with or without the earnings inside, or put together from the earnings that name one.
- **Recurrence**: what the provider says about it; without that, the [common rules](../recurrence.md) decide.
- **Proof**: where the samples' shape comes from: recorded from an account, official documentation or client code.

| Provider | Kind | Reads | Statuses | Payouts | Recurrence | Plan | Proof |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""


def expected(slug: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Type and fields of every record that the samples of a provider make."""
    for file in sorted((SAMPLES / slug).glob("*.expected")):
        for line in file.read_text("utf-8").splitlines():
            try:
                found = json.loads(line)
            except ValueError:
                continue  # an error, told in words
            yield from ((kind, fields) for kind, fields in found.items() if isinstance(fields, dict))


def makes(connector: Connector) -> set[type[Any]]:
    return {maker.record for resource in connector.resources for maker in resource.makes}


def statuses(slug: str) -> str:
    seen = {fields["status"] for kind, fields in expected(slug) if kind == "Earning"}
    return ", ".join(status.value for status in records.Status if status.value in seen)


def payouts(connector: Connector) -> str:
    if connector.payouts == "from_earnings":
        return "from earnings"
    if records.Payout not in makes(connector):
        return ""
    linked = records.PayoutItem in makes(connector) or reads(connector, "payout_ref")
    return "read, linked" if linked else "read"


def reads(connector: Connector, field: str) -> bool:
    """Whether any earning of the connector has a field."""
    return any(
        name == field
        for resource in connector.resources
        for maker in resource.makes
        if maker.record is records.Earning
        for name, _ in maker.reads
    )


def recurrence(connector: Connector) -> str:
    found = ["varies"] if connector.recurrence == records.Recurrence.VARIABLE else []
    found += ["on the row"] if reads(connector, "recurrence") else []
    found += ["subscriptions"] if records.Subscription in makes(connector) else []
    found += ["invoices"] if records.Invoice in makes(connector) else []
    return ", ".join(found)


def plan(resource: Resource) -> str:
    match resource.plan:
        case plans.Windows() as windows:
            days = f" in windows of {windows.days} days" if windows.days else ""
            again = ", open rows again" if windows.reread else ""
            return f"by {', '.join(axis.name for axis in windows.axes)}{days}{again}"
        case plans.Snapshot() | plans.Full():
            return "the full list"
        case plans.NewestFirst():
            return "newest first"
        case plans.PerPayout():
            return "inside each payout"
        case plans.ChangeFeed():
            return "a feed of changes"
    return "by webhook"


def proof(slug: str) -> str:
    sources = {load(file.read_bytes()).source.split(":")[0] for file in (SAMPLES / slug).glob("*.json")}
    return ", ".join(sorted(sources))


def row(slug: str) -> str:
    one = catalog.find(slug)
    how = "; ".join(f"`{resource.name}` {plan(resource)}" for resource in one.resources)
    names = ", ".join(resource.name for resource in one.resources)
    cells = (
        f"[{one.title}]({slug}.md)",
        one.kind,
        names,
        statuses(slug),
        payouts(one),
        recurrence(one),
        how,
        proof(slug),
    )
    return f"| {' | '.join(cell or '–' for cell in cells)} |\n"


BLOCK = (
    "\n## Every word, as it is read\n\n<!-- made from the samples by pytest tests/test_provider_docs.py --accept -->\n"
)


def words(slug: str) -> str:
    """What becomes of every word of the provider, as its samples show it; nothing where rows have no word."""
    found = sorted(
        {
            tuple(str(fields[name]).replace("|", "/") for name in ("provider_status", "kind", "status", "settlement"))
            for kind, fields in expected(slug)
            if kind == "Earning" and fields.get("provider_status")
        }
    )
    if not found:
        return ""
    lines = ("| " + " | ".join((f"`{word}`", *rest)) + " |\n" for word, *rest in found)
    return f"{BLOCK}\n| The provider says | Kind | Status | Settlement |\n| --- | --- | --- | --- |\n{''.join(lines)}"


def asked_for() -> list[str]:
    """The providers that are asked over a network; files are imported in another way."""
    return [slug for slug in catalog.slugs() if not catalog.find(slug).imported]


def test_the_table_of_providers_is_what_the_connectors_say(accept: bool) -> None:
    made = HEAD + "".join(row(slug) for slug in asked_for())
    if accept:
        (PAGES / "index.md").write_text(made, encoding="utf-8")
    assert (PAGES / "index.md").read_text("utf-8") == made, "run it with --accept and read the difference"


@pytest.mark.parametrize("slug", asked_for())
def test_the_page_of_a_provider_ends_with_what_becomes_of_each_word(slug: str, accept: bool) -> None:
    page = PAGES / f"{slug}.md"
    text = page.read_text("utf-8")
    made = text.partition(BLOCK)[0].rstrip("\n") + "\n" + words(slug)
    if accept:
        page.write_text(made, encoding="utf-8")
    assert page.read_text("utf-8") == made, "run it with --accept and read the difference"


@pytest.mark.parametrize("slug", asked_for())
def test_the_page_of_a_provider_tells_every_word_and_how_to_connect(slug: str) -> None:
    page = (PAGES / f"{slug}.md").read_text("utf-8").partition(BLOCK)[0]  # what is written by hand
    quoted = page.lower()
    connector = catalog.find(slug)
    assert page.startswith(f"# {connector.title}\n")
    assert f"tracker connection add {slug} " in page
    assert [resource.name for resource in connector.resources if f"`{resource.name}`" not in page] == []
    said = (str(fields.get("provider_status") or "") for kind, fields in expected(slug) if kind == "Earning")
    words = {word for text in said for word in text.split(", ") if word}
    assert sorted(word for word in words if f"`{word.lower()}`" not in quoted) == []
