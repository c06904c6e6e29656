"""For who writes a connector: a first file to start from, and what a finished one is checked for."""

import re
from collections.abc import Iterator
from pathlib import Path

from tracker.connect.connector import Connector
from tracker.connect.replay import load, replay
from tracker.errors import UsageError

SOURCES = ("recorded", "official documentation", "client code")

TEMPLATE = '''"""{title}: say in a sentence what is read.

Source: the pages of the provider's documentation that this follows.
"""

from datetime import timedelta

from tracker.connect.auth import bearer
from tracker.connect.connector import Connector, Credential, Option, Rate, Resource, make
from tracker.connect.fields import currency, money, one_of, optional, text, timestamp
from tracker.connect.paging import page_number
from tracker.connect.plans import updated_since
from tracker.records import Earning, Kind, Status

#: Every word that the provider documents. Another one is put in quarantine, not guessed.
STATUSES = {{"pending": Status.PENDING, "approved": Status.APPROVED, "declined": Status.DECLINED}}

connector = Connector(
    title="{title}",
    kind="affiliate",
    docs="https://docs.{slug}.example",
    base_url="https://api.{slug}.example",
    credentials={{"token": Credential("API token", help="where the user finds it")}},
    options={{"base_url": Option("Address of the API", help="only for tests and proxies")}},
    auth=bearer("token"),
    rates=(Rate(2),),
    resources=(
        Resource(
            name="transactions",
            path="/transactions",
            rows="data",
            paging=page_number("page", size=("per_page", 100)),
            plan=updated_since("updated_after", overlap=timedelta(hours=1)),
            row_id=text("id"),
            drop=("customer",),
            makes=(
                make(
                    Earning,
                    external_id=text("id"),
                    kind=Kind.COMMISSION,
                    status=one_of("status", STATUSES),
                    net=money("commission"),
                    currency=currency("currency"),
                    earned_at=timestamp("created_at"),
                    program=optional(text("program_id")),
                    provider_status=text("status"),
                ),
            ),
        ),
    ),
)
'''

SAMPLE = """{
  "source": "official documentation: name the page",
  "resource": "transactions",
  "now": "2026-06-15T10:00:00Z",
  "since": "2026-06-01T00:00:00Z",
  "credentials": {"token": "sample-token"},
  "exchanges": [
    {
      "request": {
        "method": "GET",
        "path": "/transactions",
        "query": {"page": "1", "per_page": "100", "updated_after": "2026-06-01T00:00:00Z"}
      },
      "answer": {"body": {"data": [
        {"id": "1", "status": "approved", "commission": "12.50", "currency": "EUR",
         "created_at": "2026-06-02T08:00:00Z", "program_id": "7"}
      ]}}
    }
  ]
}
"""


def begin(slug: str, root: Path) -> list[Path]:
    """Write a connector and a sample to start from under `root`. Raises UsageError when something is there already."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*", slug) or len(slug) > 40:
        raise UsageError(f"not a slug: {slug[:40]!r}.", hint="Use lower-case letters, digits and hyphens.")
    if not (root / "connectors").is_dir():
        raise UsageError(f"{root} has no folder connectors/.", hint="Run this in a checkout of the tracker.")
    code = root / "connectors" / f"{slug.replace('-', '_')}.py"
    sample = root / "tests" / "connectors" / slug / "transactions.json"
    for path in (code, sample):
        if path.exists():
            raise UsageError(f"{path.relative_to(root)} is there already.", hint="Choose another slug.")
    sample.parent.mkdir(parents=True, exist_ok=True)
    code.write_text(TEMPLATE.format(slug=slug, title=slug.replace("-", " ").title()), encoding="utf-8")
    sample.write_text(SAMPLE, encoding="utf-8")
    return [code, sample]


def faults(connector: Connector, samples: Path) -> Iterator[str]:
    """What a connector still lacks, in words: samples for every resource that replay as expected, a base_url option."""
    if "base_url" not in connector.options:
        yield "no option base_url: without it nobody can test against a stand-in"
    if not connector.docs.startswith("https://"):
        yield "docs is not the address of the provider's documentation"
    files = sorted(samples.glob("*.json"))
    sampled = set()
    for file in files:
        try:
            sample = load(file.read_bytes())
        except ValueError as error:
            yield f"{file.name}: not a sample ({error})"
            continue
        sampled.add(sample.resource)
        if sample.source.partition(":")[0] not in SOURCES:
            yield f"{file.name}: source must begin with one of: {', '.join(SOURCES)}"
        yield from (f"{file.name}: {fault}" for fault in _replay_faults(connector, file))
    for resource in connector.resources:
        if resource.name not in sampled:
            yield f"no sample for the resource {resource.name}"


def accept(connector: Connector, samples: Path) -> Iterator[Path]:
    """Write what the samples give now beside them. Raises UsageError for one that does not replay."""
    for file in sorted(samples.glob("*.json")):
        try:
            found = "".join(replay(connector, load(file.read_bytes())))
        except (ValueError, AssertionError, StopIteration, KeyError) as error:
            raise UsageError(f"{file.name} does not replay: {error}") from None
        expected = file.with_suffix(".expected")
        expected.write_text(found, encoding="utf-8")
        yield expected


def _replay_faults(connector: Connector, file: Path) -> Iterator[str]:
    expected = file.with_suffix(".expected")
    try:
        found = "".join(replay(connector, load(file.read_bytes())))
    except (AssertionError, StopIteration, KeyError) as error:
        yield f"does not replay: {error}"
        return
    if "never asked for" in found:
        yield "holds an exchange that is never asked for"
    if not expected.is_file():
        yield f"no {expected.name} yet: make it with pytest --accept and read it"
    elif expected.read_text(encoding="utf-8") != found:
        yield f"{expected.name} differs from what comes out now"
