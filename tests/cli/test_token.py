"""`tracker token`, as a person and as a script use it."""

import json

from tests.cli.conftest import Command
from tests.world import World
from tracker import tokens
from tracker.cli import ground


def test_a_token_is_made_listed_and_revoked_from_the_command_line(command: Command, world: World) -> None:
    code, _, said = command("token", "add", "backup")
    assert (code, "Set a password first: tracker password" in said) == (64, True)
    assert command("password", stdin="a long password\n")[0] == 0
    code, text, said = command("token", "add", "backup", "--scope", "write", "--until", "2999-12-31")
    assert (code, "not shown again" in said) == (0, True)
    found = tokens.recognise(world.engine, text.strip(), ground.now())  # nothing but the token on standard output
    assert found
    assert (found.name, found.may_write) == ("backup", True)

    code, text, said = command("token", "list", "--json")
    (row,) = json.loads(text)
    assert (row["name"], row["scope"], row["expires_at"]) == ("backup", "write", "2999-12-31T23:00:00Z")
    assert not {"token", "token_digest"} & set(row)
    assert "backup" in command("token", "list")[1]

    code, _, said = command("token", "revoke", "backups")
    assert (code, "There are: backup." in said) == (64, True)
    assert command("token", "revoke", "backup")[0] == 0
    assert command("token", "list")[1].startswith("No tokens.")
    trail = world.ask("select actor, action, subject, sender from audit_event order by id")
    assert trail == [
        ("command line", "password reset", "owner", None),
        ("command line", "token made", "backup (write)", None),
        ("command line", "token revoked", "backup", None),
    ]


def test_a_scope_or_day_that_is_none_is_refused(command: Command) -> None:
    command("password", stdin="a long password\n")
    assert "'all' is none of read, write" in command("token", "add", "x", "--scope", "all")[2]
    assert "not a day" in command("token", "add", "x", "--until", "tomorrow")[2]
    assert "ended already" in command("token", "add", "x", "--until", "2020-01-01")[2]
