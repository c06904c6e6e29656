"""`tracker connection` as a new user meets it: right and wrong input, prompts, what to do next."""

import json
import re
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import pytest
import requests

from tests.cli.conftest import Command, Typed
from tests.pretend import KEY, Reply
from tests.world import World
from tracker.demo.server import Sandbox

ADD = ("connection", "add", "pretend-network", "--slug", "network")
SITE = ("--option", "base_url=https://network.example")


def add(command: Command, world: World, *more: str, key: str = KEY) -> tuple[int, str, str]:
    return command(*ADD, "--option", f"base_url={world.server.url}", "--credential", f"key={key}", *more)


def test_a_connection_is_added_tested_shown_paused_resumed_and_removed(command: Command, world: World) -> None:
    code, said, _ = add(command, world)
    assert (code, said) == (
        0, "Added network (Pretend Network). Next: tracker connection test network, then tracker sync network\n",
    )  # fmt: skip
    assert command("connection", "test", "network")[:2] == (0, "✓ commissions\nAll well. Next: tracker sync network\n")
    assert command("sync")[:2] == (0, "network: ok, 7 rows: 7 new, 0 changed\n")
    _, said, _ = command("connection", "show", "network")
    assert f"option         base_url={world.server.url}\n" in said
    assert "ok: 7 rows, 7 new, 0 changed." in said
    code, said, _ = command("connection", "pause", "network", "--json")
    assert (code, json.loads(said)["paused_reason"]) == (0, "you paused it.")
    _, said, _ = command("connection", "list")
    assert "network is paused: you paused it. Go on with: tracker connection resume network\n" in said
    code, said, _ = command("connection", "resume", "network", "--json")
    assert (code, json.loads(said)["paused_at"]) == (0, None)
    code, _, error = command("connection", "remove", "network", stdin="n\n")
    assert (code, error.endswith("tracker: nothing was removed.\n")) == (2, True)
    code, said, _ = command("connection", "remove", "network", "--yes", "--json")
    assert (code, json.loads(said)) == (0, {"slug": "network", "removed": True, "earnings": 7})
    assert command("connection", "list", "--json")[:2] == (0, "[]\n")


def test_a_connection_is_read_again_and_removed_without_its_earnings(command: Command, world: World) -> None:
    add(command, world)
    command("sync")
    code, said, _ = command("connection", "reread", "network", "--from", "2026-01-01")
    assert (code, said) == (0, "network is due now and reads again from 2026-01-01: tracker sync network\n")
    assert command("sync")[:2] == (0, "network: ok, nothing new in 7 rows\n")
    assert command("connection", "reread", "network", "--from", "soon")[0] == 64
    code, said, _ = command("connection", "remove", "network", "--keep-earnings", "--yes")
    assert (code, said) == (0, "network is read no more. Its 7 earnings are kept.\n")
    assert "read no more, up to" in command("connection", "list")[1]
    assert command("schedule")[0] == 0
    code, _, error = command("sync", "network")
    assert (code, "network is read no more: removed; its earnings are kept." in error) == (64, True)
    assert "earnings" in command("income", "--json")[1]
    assert command("connection", "credentials", "network", "--credential", f"key={KEY}")[0] == 0
    assert command("sync", "network")[0] == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("add", "pretend-netwrk", "--slug", "x"),
            "no provider is called 'pretend-netwrk'. Did you mean pretend-network",
        ),
        ((*ADD[1:4], "Bad Slug", *SITE), "not a slug: 'Bad Slug'. Use lower-case letters"),
        ((*ADD[1:], "--credential", "kye=x"), "Pretend Network has no credential 'kye'. Known: key."),
        ((*ADD[1:], "--credential", "key"), "--credential: expected name=value."),
        ((*ADD[1:], "--option", "colour=red"), "Pretend Network has no option 'colour'. Known: base_url."),
        ((*ADD[1:], "--option", "base_url=http://shop.example"), "shop.example must be reached by https."),
        ((*ADD[1:], "--role", "boss"), "--role: 'boss' is not a role. Choose cash or enrichment."),
        ((*ADD[1:], "--since", "yesterday"), "--since: not a day: 'yesterday'. Write it as 2026-06-30."),
        ((*ADD[1:], "--credential-file", "/nope.json"), "--credential-file: cannot read /nope.json: No such file"),
        ((*ADD[1:], *SITE), "Pretend Network needs key. Give --credential key=…; `tracker connector show`"),
        (ADD[1:3], "Missing option '--slug'. See: tracker connection add --help"),
        (("show", "nope"), "no connection is called 'nope'. Add one with `tracker connection add`."),
    ],
)
def test_a_wrong_request_is_one_line_and_adds_nothing(command: Command, words: tuple[str, ...], told: str) -> None:
    code, said, error = command("connection", *words)
    assert (code, said, error.count("\n")) == (64, "", 1)
    assert error.startswith(f"tracker: {told}")
    assert command("connection", "list", "--json")[1] == "[]\n"


def test_a_slug_that_is_taken_is_refused_before_a_key_is_asked_for(command: Command, world: World) -> None:
    add(command, world)
    code, _, error = command(*ADD, *SITE, stdin=f"{KEY}\n")
    assert (code, error) == (
        64, "tracker: there is a connection 'network' already. Choose another --slug or remove it first.\n",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"key": "ab', "is not JSON."),
        ('["key"]', "does not hold names with values."),
        ('{"key": null}', "does not hold names with values."),
        ("\udcff", "is not JSON."),
    ],
)
def test_a_credential_file_that_is_none_is_refused(command: Command, tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "key.json"
    file.write_bytes(content.encode(errors="surrogateescape"))
    code, _, error = command(*ADD, "--credential-file", str(file))
    assert (code, error.count("\n"), told in error) == (64, 1, True)


def test_credentials_come_from_a_file_or_a_pipe_and_are_found_nowhere(command: Command, world: World) -> None:
    file = world.folder.parent / "key.json"
    file.write_text(json.dumps({"key": KEY}))
    address = f"base_url={world.server.url}"
    told = [command(*ADD, "--credential-file", str(file), "--option", address, "--json")]
    told.append(command("connection", "add", "pretend-bank", "--slug", "bank", "--option", address, stdin=f"{KEY}\n"))
    told += [command("connection", *words) for words in (("show", "bank", "--json"), ("list",), ("test", "network"))]
    assert [code for code, *_ in told] == [0] * 5
    file.unlink()
    world.engine.dispose()
    kept = b"".join(one.read_bytes() for one in world.folder.parent.rglob("*") if one.is_file())
    assert KEY.encode() not in kept + repr(told).encode()


def test_a_prompt_on_a_terminal_does_not_echo_the_key(typed: Typed, world: World) -> None:
    code, shown = typed([*ADD, "--option", f"base_url={world.server.url}"], ("Key: ", KEY))
    assert code == 0
    assert "Added network" in shown
    assert KEY not in shown


def test_on_a_terminal_an_empty_answer_logs_the_user_in(typed: Typed, command: Command, world: World) -> None:
    """The provider's page shows a code to who follows the address that is printed."""

    def code_at(shown: str) -> str:
        (address,) = re.findall(r"http://\S+/oauth/authorize\S+", shown)
        told = requests.get(address, timeout=20).text
        for link in re.findall(r'href="([^"]+)">Allow', told):
            told = requests.get(unescape(link), timeout=20).text
        return str(re.findall("<code>(.+)</code>", told)[0])

    with Sandbox(now=datetime.now(UTC)) as sandbox:
        keys = sandbox.credentials("daisycon")
        words = ["connection", "add", "daisycon", "--slug", "da", "--option", f"base_url={sandbox.url('daisycon')}"]
        code, shown = typed(
            words,
            ("Client id", keys["client_id"]),
            ("Enter leaves it out", keys["client_secret"]),
            ("Enter logs you in", ""),
            ("copy the code that Daisycon shows", code_at),
            ("Publisher id", keys["publisher_id"]),
        )
        assert (code, "Added da (Daisycon)" in shown) == (0, True)
        assert keys["client_secret"] not in shown
        assert command("connection", "test", "da")[0] == 0


def test_a_wrong_key_says_which_command_takes_the_new_one(command: Command, world: World) -> None:
    add(command, world, key="wrong-key")
    code, said, error = command("connection", "test", "network", "--json")
    assert (code, error.count("\n")) == (2, 1)
    assert error.startswith("tracker: 127.0.0.1 refused the credentials.")
    assert error.endswith("Then: tracker connection credentials network\n")
    found = json.loads(said)
    assert (found["ok"], found["error"], "wrong-key" in said + error) == (False, "AuthRejected", False)
    assert command("connection", "credentials", "network", "--credential", f"key={KEY}")[0] == 0
    assert command("connection", "test", "network")[0] == 0


def test_a_missing_right_is_named(command: Command, world: World) -> None:
    add(command, world)
    world.provider.answers["/commissions"] = lambda asked: Reply.json({"message": "no"}, 403)
    code, said, _ = command("connection", "test", "network")
    assert code == 2
    assert "✗ commissions  127.0.0.1 does not allow this key to read commissions. It needs: commissions:read." in said


def test_a_provider_that_cannot_be_reached_is_one_line(command: Command, world: World) -> None:
    world.server.close()
    add(command, world)
    code, said, error = command("connection", "test", "network")
    assert (code, said) == (2, "")
    assert error == (
        "tracker: 127.0.0.1 cannot be reached (the connection was refused). Check the network and the address.\n"
    )


def test_the_list_fits_eighty_columns_and_says_why_below(command: Command, world: World) -> None:
    add(command, world, key="wrong-key")
    command("sync")
    _, said, _ = command("connection", "list")
    table, reason = said.splitlines()[:2], said.splitlines()[2]
    assert all(len(line.rstrip()) <= 80 for line in table)
    assert reason.startswith("network is paused: 127.0.0.1 refused the credentials.")
    assert reason.endswith("Go on with: tracker connection credentials network")


def test_options_are_changed_and_a_wrong_one_changes_nothing(command: Command, connected: World) -> None:
    address = connected.connection("network").options["base_url"]
    code, said, _ = command("connection", "edit", "network", "--option", f"base_url={address}/v2")
    assert (code, said) == (
        0,
        "network has other options. What was read before is read with them again by: tracker rebuild --connection "
        "network\n",
    )
    assert connected.connection("network").options["base_url"] == f"{address}/v2"
    for wrong in ("site=x", "base_url=http://shop.example", "base_url"):
        code, said, error = command("connection", "edit", "network", "--option", wrong, "--every", "2h")
        assert (code, said, error.startswith("tracker: ")) == (64, "", True)
    assert connected.connection("network").options["base_url"] == f"{address}/v2"
    assert connected.connection("network").interval_s == 3600
