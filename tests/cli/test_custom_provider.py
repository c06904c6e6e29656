"""A provider of the user's own from the command line: listed, shown, connected, synced, recorded and checked."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command, Typed
from tests.example_providers import EXAMPLES, TOKEN, Network
from tests.pretend import Server
from tests.world import World
from tracker.cli import ground


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def address(network: Network) -> Iterator[str]:
    server = Server(network.answer)
    yield f"base_url={server.url}"
    server.close()


@pytest.fixture
def own(world: World) -> Path:
    """The user's folder with the two examples."""
    folder = world.folder / "connectors.d"
    folder.mkdir()
    for file in EXAMPLES.glob("*.toml"):
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_it_is_listed_and_shown_beside_those_that_come_with_the_tracker(command: Command, own: Path) -> None:
    code, said, _ = command("connector", "list", "--json")
    found = {one["slug"]: one for one in json.loads(said)}
    assert code == 0
    assert found["example-network"]["resources"] == ["programmes", "commissions"]
    assert "awin" in found
    code, said, _ = command("connector", "show", "example-shop")
    assert code == 0
    assert "credential secret (secret): API secret" in said
    assert "option base_url: Address of your shop (such as https://books.example)" in said


def test_a_broken_file_is_named_and_the_rest_is_listed(command: Command, own: Path) -> None:
    text = (own / "example-network.toml").read_text("utf-8")
    (own / "my-network.toml").write_text(text.replace("bearer =", "baerer ="), "utf-8")
    (own / "stripe.toml").write_text(text, "utf-8")
    code, said, error = command("connector", "list")
    assert code == 2
    assert "example-network" in said
    assert "my-network" not in said
    line = text.splitlines().index('auth = {bearer = "token"}') + 1
    assert error.splitlines() == [
        f"✗ connectors.d/my-network.toml, line {line}, auth.baerer: 'baerer' is not known here. Did you mean bearer?",
        "✗ connectors.d/stripe.toml: there is a provider stripe already. Give the file another name.",
    ]
    code, _, error = command("connector", "show", "my-network")
    assert (code, error.startswith("tracker: connectors.d/my-network.toml, line")) == (2, True)


def test_the_doctor_names_files_of_the_user_that_cannot_be_used(command: Command, own: Path, world: World) -> None:
    def told() -> Any:
        found = json.loads(command("doctor", "--json")[1])["findings"]
        (finding,) = [one for one in found if one["check"] == "own files"]
        return finding

    assert told()["state"] == "ok"
    text = (own / "example-network.toml").read_text("utf-8")
    (own / "my-network.toml").write_text(text.replace("bearer =", "baerer ="), "utf-8")
    (world.folder / "statements").mkdir()
    (world.folder / "statements" / "club.toml").write_text("title = 7", "utf-8")
    found = told()
    assert found["state"] == "problem"
    assert found["message"] == "2 of your own providers and profiles cannot be used."
    first, second = found["lines"]
    assert first.startswith("connectors.d/my-network.toml, line")
    assert "club" in second


def test_from_a_key_to_the_ledger_without_knowing_an_id(
    command: Command, own: Path, network: Network, address: str, world: World
) -> None:
    recent = ground.now().replace(microsecond=0) - timedelta(days=2)
    network.put("c1", recent, "paid", recent)
    code, said, _ = command(
        "connector", "discover", "example-network", "--credential", f"token={TOKEN}", "--option", address
    )
    assert (code, said) == (
        0, "publisher accounts, for --credential publisher_id=…\n  77  Pfad und Papier\n",
    )  # fmt: skip
    add = ("connection", "add", "example-network", "--slug", "mine", "--option", address)
    code, said, error = command(*add, stdin=f"{TOKEN}\n")
    assert (code, error) == (0, "Publisher id: 77 (Pfad und Papier), the only one that your key can see.\n")
    assert said == "Added mine (Example Network). Next: tracker connection test mine, then tracker sync mine\n"
    assert command("connection", "test", "mine")[:2] == (
        0, "✓ programmes\n✓ commissions\nAll well. Next: tracker sync mine\n",
    )  # fmt: skip
    assert command("sync", "mine")[:2] == (0, "mine: ok, 2 rows: 2 new, 0 changed\n")
    assert command("rebuild", "--connection", "mine")[0] == 0
    code, said, _ = command("connection", "discover", "mine", "--json")
    assert (code, [one["id"] for one in json.loads(said)["found"]]) == (0, ["77"])


def test_who_sees_several_accounts_is_asked_to_choose(
    command: Command, own: Path, network: Network, address: str
) -> None:
    network.accounts = ({"id": 77, "name": "Pfad und Papier"}, {"id": 78, "name": "Nebenbei"})
    add = ("connection", "add", "example-network", "--slug", "mine", "--option", address)
    code, _, error = command(*add, "--credential", f"token={TOKEN}")
    assert (code, error) == (
        64,
        "tracker: your key can see 77 (Pfad und Papier), 78 (Nebenbei). Choose one: --credential publisher_id=…\n",
    )
    assert command("connection", "list", "--json")[1] == "[]\n"
    network.accounts = ()
    assert command(*add, "--credential", f"token={TOKEN}")[2] == (
        "tracker: your key sees nothing that could be the Publisher id.\n"
    )
    code, _, error = command(*add, "--credential", "token=wrong-token-1")
    assert (code, "wrong-token-1" in error) == (2, False)
    assert error.startswith("tracker: 127.0.0.1 refused the credentials.")


def test_on_a_terminal_an_empty_answer_looks_the_id_up_and_asks_again(
    own: Path, network: Network, address: str, typed: Typed, world: World
) -> None:
    network.accounts = ({"id": 77, "name": "Pfad und Papier"}, {"id": 78, "name": "Nebenbei"})
    answers = [("API token", TOKEN), ("Enter looks it up", ""), ("78 (Nebenbei)\r\nPublisher id", "78")]
    code, shown = typed(["connection", "add", "example-network", "--slug", "mine", "--option", address], *answers)
    assert code == 0
    assert "  77 (Pfad und Papier)\r\n  78 (Nebenbei)\r\n" in shown
    assert TOKEN not in shown
    assert world.connection("mine").provider == "example-network"


def test_samples_stand_beside_the_file_and_are_checked(
    command: Command, own: Path, network: Network, address: str
) -> None:
    recent = ground.now().replace(microsecond=0) - timedelta(days=2)
    network.put("c1", recent, "paid", recent)
    keys = ("--credential", f"token={TOKEN}", "--credential", "publisher_id=77", "--option", address)
    assert command("connection", "add", "example-network", "--slug", "mine", *keys)[0] == 0
    code, said, _ = command("connector", "check", "example-network")
    assert (code, said) == (
        2, "✗ no sample for the resource programmes\n✗ no sample for the resource commissions\n",
    )  # fmt: skip
    folder = own / "example-network"
    for name in ("programmes", "commissions"):
        assert command("connector", "record", "mine", name, str(folder / f"{name}.json"))[0] == 0
    code, said, _ = command("connector", "check", "example-network")
    assert (code, said.count("make it with")) == (2, 2)
    code, said, _ = command("connector", "check", "example-network", "--accept")
    assert (code, said.splitlines()[-1]) == (0, "✓ example-network is complete")
    assert '"external_id":"c1"' in (folder / "commissions.expected").read_text("utf-8")
    kept = b"".join(file.read_bytes() for file in folder.iterdir())
    assert TOKEN.encode() not in kept
    assert b"people.example" not in kept
    text = (own / "example-network.toml").read_text("utf-8")
    (own / "example-network.toml").write_text(text.replace('"sub_id"', '"sub"'), "utf-8")
    code, said, _ = command("connector", "check", "example-network")
    assert (code, said) == (2, "✗ commissions.json: commissions.expected differs from what comes out now\n")
