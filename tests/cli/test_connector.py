"""`tracker connector`: what can be connected, and the way from an empty file to a complete connector."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.pretend import KEY, earning
from tests.world import World
from tracker.connect import catalog
from tracker.connect.replay import load, replay
from tracker.demo.server import Sandbox


def test_the_list_names_every_provider_and_what_it_reads(command: Command) -> None:
    code, said, _ = command("connector", "list")
    assert code == 0
    assert max(len(line.rstrip()) for line in said.splitlines()) <= 80
    found = {one["slug"]: one for one in json.loads(command("connector", "list", "--json")[1])}
    assert found.keys() >= {"awin", "cj", "stripe", "woocommerce", "ghost"}
    assert "transactions" in found["awin"]["resources"]


def test_show_says_what_to_bring_and_where_to_find_it(command: Command) -> None:
    code, said, _ = command("connector", "show", "awin")
    assert (code, "credential token (secret): API token (ui.awin.com/awin-api" in said) == (0, True)
    shown = json.loads(command("connector", "show", "stripe", "--json")[1])
    assert shown["credentials"]["api_key"]["secret"] is True
    assert [one["right"] for one in shown["resources"] if one["name"] == "payouts"] == ["Payouts, Events: Read"]
    assert command("connector", "show", "strpe")[2] == "tracker: no provider is called 'strpe'. Did you mean stripe?\n"


def test_a_new_connector_is_written_once_and_told_what_it_lacks(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = f"tracker: {tmp_path} has no folder connectors/. Run this in a checkout of the tracker.\n"
    assert command("connector", "new", "my-network") == (64, "", told)
    (tmp_path / "connectors").mkdir()
    code, said, _ = command("connector", "new", "my-network")
    assert (code, said.splitlines()[:2]) == (
        0, ["Wrote connectors/my_network.py", "Wrote tests/connectors/my-network/transactions.json"],
    )  # fmt: skip
    assert command("connector", "new", "my-network")[2] == (
        "tracker: connectors/my_network.py is there already. Choose another slug.\n"
    )
    assert command("connector", "new", "My Network")[2].startswith("tracker: not a slug: 'My Network'.")
    assert command("connector", "check", "pretend-network")[:2] == (
        2, "✗ no sample for the resource commissions\n",
    )  # fmt: skip


def test_what_is_recorded_replays_and_holds_no_secret_and_no_person(
    command: Command, connected: World, tmp_path: Path
) -> None:
    recent = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
    person = {"email": "ann@people.example", "customer": "ann@people.example", "note": "for ann@people.example"}
    connected.provider.put("/commissions", earning("c7", recent, program="42", **person))
    file = tmp_path / "samples" / "commissions.json"
    words = ("connector", "record", "network", "commissions", str(file), "--days", "9")
    code, said, _ = command(*words)
    assert code == 0
    assert re.fullmatch(rf"Wrote {file} with \d exchanges\. Read it before you share it\.\n", said)
    text = file.read_text()
    assert (KEY in text, "ann" in text.lower(), connected.server.url in text) == (False, False, False)
    lines = list(replay(catalog.find("pretend-network"), load(file.read_bytes())))
    assert sum(line.startswith('{"Earning"') for line in lines) == 8
    assert not any("never asked for" in line for line in lines)
    assert command(*words)[::2] == (64, f"tracker: {file} is there already. Give a new name.\n")
    code, _, error = command("connector", "record", "network", "sales", str(tmp_path / "x.json"))
    assert (code, error) == (64, "tracker: pretend-network has no resource 'sales'. Choose one of commissions.\n")


@pytest.mark.parametrize(("provider", "resource"), [("awin", "transactions"), ("ghost", "members")])
def test_a_recording_of_a_sandbox_provider_replays(
    command: Command, tmp_path: Path, provider: str, resource: str
) -> None:
    file = tmp_path / "sample.json"
    moment = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    with Sandbox(now=moment) as sandbox:
        pairs = sandbox.credentials(provider)
        given = [word for name, value in pairs.items() for word in ("--credential", f"{name}={value}")]
        option = f"base_url={sandbox.url(provider)}"
        assert command("connection", "add", provider, "--slug", "one", "--option", option, *given)[0] == 0
        assert command("connector", "record", "one", resource, str(file))[0] == 0
    text, connector = file.read_text(), catalog.find(provider)
    for name, credential in connector.credentials.items():
        assert not credential.secret or pairs.get(name, "\0") not in text
    assert "127.0.0.1" not in text
    assert "@" not in text.replace("somebody@sample.example", "")
    lines = list(replay(connector, load(file.read_bytes())))
    assert len(lines) > 10
    assert not any(word in line for line in lines for word in ("never asked for", '"error"', '"quarantine"'))
