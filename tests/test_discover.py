"""What a key can see, at the sandbox's networks: accounts, sites and programmes, before and after connecting."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.world import World
from tracker import connections, discover
from tracker.connect import catalog
from tracker.demo.server import Sandbox
from tracker.errors import AuthRejected, UsageError

NOW = datetime(2026, 6, 15, 10, tzinfo=UTC)
#: Each provider that lists something, with the credential or option that an id is for, if any.
LISTING = {
    "adtraction": "channel_id",
    "awin": "publisher_id",
    "clickbank": "account",
    "impact": "",
    "partnerize": "publisher_id",
    "tradedoubler": "",
    "tradetracker": "affiliate_site_id",
}
#: Options that a connection needs.
NEEDED = {"adtraction": {"currency": "SEK"}, "tradedoubler": {"currency": "EUR"}}


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(now=NOW) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.heal()
    running.forget_requests()
    return running


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(f"sqlite:///{tmp_path}/tracker.db", tmp_path / "data") as world:
        yield world


def test_the_providers_that_list_something_are_these() -> None:
    found = {slug for slug in catalog.slugs() if catalog.find(slug).discover}
    assert found == LISTING.keys()
    for slug in found:
        one = catalog.find(slug)
        assert {listed.fills for listed in one.discover} - {""} <= {*one.credentials, *one.options}


@pytest.mark.parametrize("slug", LISTING)
def test_a_key_alone_is_enough_to_find_accounts_and_programmes(sandbox: Sandbox, world: World, slug: str) -> None:
    keys = sandbox.credentials(slug)
    filled = LISTING[slug]
    known = {name: value for name, value in keys.items() if name != filled}
    seen = discover.before(world.deps, slug, known, {"base_url": sandbox.url(slug)})
    assert seen.notes == []
    assert {one.what for one in seen.found} == {listed.what for listed in catalog.find(slug).discover}
    if filled in keys:
        assert [one.id for one in seen.choices(filled)] == [keys[filled]]
    assert len(seen.choices(filled)) == (1 if filled else len(seen.found))
    assert all(one.id and (one.title or slug == "clickbank") for one in seen.found)
    programmes = [one.title for one in seen.found if one.what in ("programmes", "campaigns")]
    assert set(programmes) <= {programme.name for programme in sandbox.history.programmes}
    assert connections.every(world.engine) == []


@pytest.mark.parametrize("slug", LISTING)
def test_a_connection_lists_the_same_as_its_key_did_before(sandbox: Sandbox, world: World, slug: str) -> None:
    at = {"base_url": sandbox.url(slug)}
    options = at | NEEDED.get(slug, {})
    connections.add(world.deps, slug, "mine", credentials=sandbox.credentials(slug), options=options)
    assert discover.connected(world.deps, "mine") == discover.before(world.deps, slug, sandbox.credentials(slug), at)


@pytest.mark.parametrize("slug", sorted(LISTING.keys() - {"clickbank"}))
def test_a_wrong_key_is_told_as_such_and_is_in_no_message(sandbox: Sandbox, world: World, slug: str) -> None:
    wrong = {
        name: "wrong-key-0815" if catalog.find(slug).credentials[name].secret else value
        for name, value in sandbox.credentials(slug).items()
    }
    with pytest.raises(AuthRejected) as refused:
        discover.before(world.deps, slug, wrong, {"base_url": sandbox.url(slug)})
    assert "wrong-key-0815" not in str(refused.value)


def test_clickbank_says_the_same_of_a_wrong_key_and_of_a_missing_right(sandbox: Sandbox, world: World) -> None:
    at = {"base_url": sandbox.url("clickbank")}
    seen = discover.before(world.deps, "clickbank", {"api_key": "wrong-key-0815"}, at)
    assert seen.found == []
    assert seen.notes[0].startswith("accounts: 127.0.0.1 does not allow this key to read accounts.")
    assert "wrong-key-0815" not in seen.notes[0]


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b'{"accountData": [{"nickName": "onebook"}, {"nickName": "twobook"}]}', ["onebook", "twobook"]),
        (b"null", []),
        (b"", []),
    ],
)
def test_clickbank_lists_as_its_json_of_xml_has_it(
    sandbox: Sandbox, world: World, body: bytes, names: list[str]
) -> None:
    sandbox.fail("clickbank", "body", path="/rest/1.3/quickstats/accounts", body=body)
    keys = sandbox.credentials("clickbank")
    seen = discover.before(world.deps, "clickbank", keys, {"base_url": sandbox.url("clickbank")})
    assert ([one.id for one in seen.choices("account")], seen.notes) == (names, [])
    assert "role=" not in sandbox.requests[-1].query


def test_what_the_key_may_not_list_is_a_note_and_the_rest_is_listed(sandbox: Sandbox, world: World) -> None:
    keys = sandbox.credentials("awin") | {"publisher_id": "4711"}
    seen = discover.before(world.deps, "awin", keys, {"base_url": sandbox.url("awin")})
    assert [one.what for one in seen.found] == ["publisher accounts"]
    assert len(seen.notes) == 1
    assert seen.notes[0].startswith("programmes: 127.0.0.1 does not allow this key to read programmes.")
    sandbox.fail("awin", "body", path="/accounts", body=b'{"accounts": [{"accountName": "no id"}]}')
    seen = discover.before(world.deps, "awin", sandbox.credentials("awin"), {"base_url": sandbox.url("awin")})
    assert seen.notes == ["publisher accounts: a row is not as documented ('accountId' is missing)."]
    assert {one.what for one in seen.found} == {"programmes"}


def test_without_an_account_the_lists_that_need_its_id_say_what_they_need(sandbox: Sandbox, world: World) -> None:
    sandbox.fail("awin", "body", path="/accounts", body=b'{"accounts": [{"accountId": 1}, {"accountId": 2}]}')
    keys = {"token": sandbox.credentials("awin")["token"]}
    seen = discover.before(world.deps, "awin", keys, {"base_url": sandbox.url("awin")})
    assert [(one.id, one.title) for one in seen.choices("publisher_id")] == [("1", ""), ("2", "")]
    assert seen.notes == ["programmes: give publisher_id to list them."]


def test_a_list_has_an_end(sandbox: Sandbox, world: World) -> None:
    rows = b",".join(b'{"accountId": %d}' % number for number in range(discover.SHOWN_MAX + 5))
    sandbox.fail("awin", "body", path="/accounts", body=b'{"accounts": [' + rows + b"]}")
    keys = {"token": sandbox.credentials("awin")["token"]}
    assert len(discover.before(world.deps, "awin", keys, {"base_url": sandbox.url("awin")}).found) == discover.SHOWN_MAX


def test_what_is_missing_or_unknown_is_said_before_anybody_is_asked(sandbox: Sandbox, world: World) -> None:
    at = {"base_url": sandbox.url("awin")}
    with pytest.raises(UsageError, match=r"^Awin needs token\. Give --credential token=…"):
        discover.before(world.deps, "awin", {"publisher_id": "1"}, at)
    with pytest.raises(UsageError, match="Awin has no credential 'tokn'"):
        discover.before(world.deps, "awin", {"tokn": "x"}, at)
    with pytest.raises(UsageError, match="Stripe cannot list what a key sees"):
        discover.before(world.deps, "stripe", {}, at)
    told = r"^Awin needs publisher_id\. Give --credential publisher_id=…; `tracker connector discover` lists"
    with pytest.raises(UsageError, match=told):
        connections.add(world.deps, "awin", "awin", credentials={"token": "x"}, options=at)
    assert sandbox.requests == []
