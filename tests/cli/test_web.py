"""The pages from the terminal: `tracker serve`, `tracker password`, `tracker connection inbound`."""

import json
import re
import signal
import socket
import subprocess
from typing import IO

import httpx
import pytest

from tests.cli.conftest import Command, Process, soon
from tests.world import World

SETUP = re.compile(r"Nobody has a password yet\. Set yours here, once: (http://127\.0\.0\.1:\d+)/setup\?token=(\S+)\n")


def until(output: IO[str], words: str) -> str:
    """What was said, up to the line with these words."""
    said = ""
    for line in output:
        said += line
        if words in line:
            return said
    raise AssertionError(said)


def serve(process: Process, *words: str, up_to: str = "Pages: ") -> tuple["subprocess.Popen[str]", str]:
    serving = process("serve", *words)
    assert serving.stdout
    return serving, until(serving.stdout, up_to)


def end(serving: "subprocess.Popen[str]") -> str:
    serving.send_signal(signal.SIGTERM)
    said, error = serving.communicate(timeout=20)
    assert (serving.returncode, error) == (0, "")
    return said


def test_serve_prints_the_way_in_serves_and_stops(process: Process, connected: World) -> None:
    serving, said = serve(process, up_to="Nobody has a password yet")
    found = SETUP.search(said)
    assert found, said
    with httpx.Client(base_url=found[1]) as client:
        form = client.get(f"/setup?token={found[2]}")
        assert form.status_code == 200
        token = re.search(r'name="form_token" value="(\w+)"', form.text)
        assert token
        fields = {"name": "owner", "password": "a long password", "again": "a long password", "token": found[2]}
        assert client.post("/setup", data={"form_token": token[1], **fields}).headers["location"] == "/welcome"
        assert soon(connected, lambda: connected.connection("network").as_of is not None)
        assert "€70.00" in client.get("/").text  # seven commissions that wait for approval
    rest = end(serving)
    assert "owner set up" in rest
    assert found[2] not in rest
    _, said = serve(process)
    assert "/setup" not in said


def test_a_postback_is_kept_by_serve_and_its_sync_follows(process: Process, connected: World, command: Command) -> None:
    code, said, _ = command("connection", "inbound", "network", "--json")
    path = "/in/" + json.loads(said)["address"].rpartition("/")[2]
    connected.sync("network")
    assert code == 0
    serving, said = serve(process)
    address = said.rpartition("Pages: ")[2].strip().rstrip("/")
    runs = "select count(*) from sync_run where outcome = 'ok'"
    assert connected.ask(runs) == [(1,)]
    assert httpx.get(address + path, params={"status": "approved"}).status_code == 204
    assert soon(connected, lambda: connected.ask(runs) == [(2,)])
    assert "approved" not in end(serving)


def test_a_port_that_is_taken_is_one_line_with_the_way_out(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("TRACKER_WEB_PORT", str(port))
        code, said, error = command("serve")
    assert (code, said) == (2, "")
    assert error == (
        f"tracker: port {port} is taken: another program, or another tracker, answers at 127.0.0.1:{port}. "
        "Set TRACKER_WEB_PORT to another port, or leave the pages out with --no-web.\n"
    )


def test_without_the_pages_nothing_listens(process: Process, connected: World) -> None:
    serving, said = serve(process, "--no-web", up_to="  letters: ")
    assert soon(connected, lambda: connected.connection("network").as_of is not None)
    assert "Pages: " not in said + end(serving)


def test_a_public_address_without_a_password_is_refused(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKER_WEB_HOST", "192.0.2.7")
    code, _, error = command("serve")
    assert (code, error.count("\n")) == (2, 1)
    assert "nobody has a password yet. Set one first: tracker password." in error.replace(
        "set a password", "a password"
    )


def test_a_password_is_set_from_the_terminal(command: Command, world: World) -> None:
    assert command("password", stdin="short\n")[2] == "tracker: the password is too short: at least 10 characters.\n"
    assert command("password")[0] == 64
    code, said, _ = command("password", stdin="a long password\n")
    assert (code, said) == (0, "Set. Log in as owner; other browsers are logged out.\n")
    assert world.ask('select name, role from "user"') == [("owner", "owner")]
    assert world.ask("select actor, action, subject from audit_event") == [("command line", "password reset", "owner")]
    command("token", "add", "spreadsheet")
    said = command("password", stdin="another password\n")[1]
    assert (
        said.splitlines()[1]
        == "1 API token stays good: see tracker token list, and end one with tracker token revoke NAME."
    )


def test_an_address_is_shown_once_replaced_and_ended(command: Command, connected: World) -> None:
    code, said, _ = command("connection", "inbound", "network")
    address, *told = said.splitlines()
    assert code == 0
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/in/[\w-]{43}", address)
    assert told[0].startswith("Enter it at Pretend Network for postbacks or webhooks. It is shown only now")
    assert told[1].startswith("Only this machine reaches that address.")
    code, said, error = command("connection", "inbound", "network")
    assert (code, said) == (64, "")
    assert "it is shown only once. Make another in its place: tracker connection inbound network --new" in error
    assert command("connection", "inbound", "network", "--new")[1].splitlines()[0] != address
    assert command("connection", "inbound", "network", "--off")[1] == "The address of network is gone.\n"
    assert command("connection", "inbound", "network", "--off")[1] == "network has no address.\n"


def test_an_address_names_the_host_that_others_reach(
    command: Command, connected: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKER_WEB_HOSTS", "income.example.com,10.0.0.7")
    _, said, _ = command("connection", "inbound", "network")
    assert said.startswith("https://income.example.com/in/")
    assert "Only this machine" not in said


def test_a_secret_is_stored_for_a_provider_that_signs(command: Command, connected: World) -> None:
    connected.add("signer")
    _, said, _ = command("connection", "inbound", "signer")
    assert (
        "Pretend Signer signs what it sends, which must be checked: tracker connection inbound signer --secret"
        in " ".join(said.split())
    )
    code, said, _ = command("connection", "inbound", "signer", "--secret", stdin="whsec-4711\n")
    assert (code, said) == (0, "Stored. What comes for signer unsigned is refused from now on.\n")
    assert command("connection", "inbound", "signer", "--secret", stdin="\n")[0] == 64
    assert command("connection", "inbound", "network", "--secret", stdin="x\n")[0] == 64
    assert command("connection", "inbound", "network", "--new", "--off")[0] == 64
    assert "whsec-4711" not in str(connected.dump())
