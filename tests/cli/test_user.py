"""Users from the terminal, and a backup that `tracker serve` puts back when it starts."""

import json

from tests.cli.conftest import Command, Process, soon
from tests.cli.test_web import end, serve
from tests.world import World
from tracker import backups

ONE, OTHER = "a long password\n", "another long password\n"


def test_users_are_added_listed_changed_and_removed(command: Command, world: World) -> None:
    assert command("user", "list")[1].startswith("There are none yet.")
    assert command("password", stdin=ONE)[0] == 0
    assert command("user", "add", "Ole", stdin=ONE)[1] == "Ole may log in as viewer.\n"
    code, _, error = command("user", "add", "Ole", stdin=ONE)
    assert (code, error) == (64, "tracker: there is a user called Ole already. Choose another name.\n")
    code, said, _ = command("user", "list", "--json")
    assert [(one["name"], one["role"]) for one in json.loads(said)] == [("Ole", "viewer"), ("owner", "owner")]
    assert "Ole" in command("user", "list")[1]
    code, _, error = command("user", "remove", "owner")
    assert (code, "owner is the only owner." in error) == (64, True)
    assert command("user", "role", "Ole", "owner")[1] == "Ole is owner now.\n"
    assert command("user", "password", "Ole", stdin=OTHER)[1] == "Set. Ole is logged out everywhere.\n"
    assert command("user", "password", "Ole")[0] == 64
    assert command("user", "remove", "owner")[0] == 0
    assert world.ask('select name, role from "user"') == [("Ole", "owner")]
    told = world.ask("select actor, action, subject from audit_event order by id")
    assert told[:2] == [("command line", "password reset", "owner"), ("command line", "user added", "Ole (viewer)")]
    assert OTHER.strip() not in str(world.dump())


def test_a_planned_backup_is_put_back_when_serve_starts(process: Process, connected: World) -> None:
    kept = backups.make(connected.deps)
    connected.sync("network")
    assert len(connected.earnings()) == 7
    connected.add("bank")
    backups.plan(connected.deps.settings, kept.name)
    serving, said = serve(process)
    assert f"rows of {kept.name}, as of " in said
    assert connected.ask("select slug from connection") == [("network",)]
    assert soon(connected, lambda: len(connected.earnings()) == 7)  # and it goes on from there
    end(serving)
    serving, said = serve(process)
    assert "Restored" not in said
    end(serving)
