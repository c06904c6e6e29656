"""Keys to the API, on both databases."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, event, insert

from tracker import accounts, tokens
from tracker.errors import UsageError
from tracker.store.database import migrate, open_engine
from tracker.tokens import PREFIX, TOKENS_MAX, Scope

PASSWORD = "a long password"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_engine(database_url)
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def eva(engine: Engine, now: datetime) -> int:
    return accounts.add_owner(engine, "Eva", PASSWORD, now)


@pytest.fixture
def viewer(engine: Engine, now: datetime) -> int:
    values = {"name": "Vic", "password": "no hash", "role": "viewer", "created_at": now}
    with engine.begin() as conn:
        return int(conn.execute(insert(accounts.user_t).values(values)).inserted_primary_key[0])  # type: ignore[index]


def test_a_token_is_recognised_and_only_its_digest_is_kept(engine: Engine, now: datetime, eva: int) -> None:
    text = tokens.make(engine, eva, "  backup   script ", "write", now)
    assert text.startswith(PREFIX)
    assert len(text) == len(PREFIX) + 43  # 256 random bits
    found = tokens.recognise(engine, text, now)
    assert found
    assert (found.name, found.scope, found.may_write, found.user) == ("backup script", Scope.WRITE, True, "Eva")
    wrong = ("", PREFIX, text[:-1], text + " ", text.lower(), "\ud800", "x" * 10_000)
    assert [tokens.recognise(engine, one, now) for one in wrong] == [None] * len(wrong)
    with engine.connect() as conn:
        row = conn.exec_driver_sql("select * from api_token").one()
    assert text not in str(row)
    assert text[len(PREFIX) :] not in str(row)


def test_a_token_ends_when_it_is_revoked_or_its_time_is_over(engine: Engine, now: datetime, eva: int) -> None:
    end = now + timedelta(days=1)
    first = tokens.make(engine, eva, "first", "read", now, expires_at=end)
    second = tokens.make(engine, eva, "second", "read", now)
    assert tokens.recognise(engine, first, end - timedelta(seconds=1))
    assert tokens.recognise(engine, first, end) is None
    listed = {one.name: one for one in tokens.every(engine)}
    assert (listed["first"].expires_at, listed["second"].expires_at) == (end, None)
    assert tokens.revoke(engine, listed["second"].id) == "second"
    assert tokens.recognise(engine, second, now) is None
    with pytest.raises(UsageError, match="no such token"):
        tokens.revoke(engine, listed["second"].id)


def test_its_last_use_is_known_to_the_hour_and_written_once_an_hour(engine: Engine, now: datetime, eva: int) -> None:
    text = tokens.make(engine, eva, "script", "read", now)
    assert tokens.every(engine)[0].last_used_at is None
    writes: list[str] = []

    def watch(conn: object, cursor: object, statement: str, *more: object) -> None:
        if statement.startswith("UPDATE"):
            writes.append(statement)

    event.listen(engine, "before_cursor_execute", watch)
    for minutes in (5, 20, 59):
        assert tokens.recognise(engine, text, now + timedelta(minutes=minutes))
    assert (len(writes), tokens.every(engine)[0].last_used_at) == (1, now)
    assert tokens.recognise(engine, text, now + timedelta(minutes=61))
    assert (len(writes), tokens.every(engine)[0].last_used_at) == (2, now + timedelta(hours=1))
    assert tokens.recognise(engine, "invented", now + timedelta(hours=5)) is None
    assert len(writes) == 2


def test_a_token_never_does_more_than_its_user(engine: Engine, now: datetime, eva: int, viewer: int) -> None:
    with pytest.raises(UsageError, match="only an owner"):
        tokens.make(engine, viewer, "too much", "write", now)
    reads = tokens.make(engine, viewer, "reads", "read", now)
    writes = tokens.make(engine, eva, "writes", "write", now)
    with engine.begin() as conn:  # Eva became a viewer meanwhile
        conn.exec_driver_sql("update \"user\" set role = 'viewer' where name = 'Eva'")
    found = tokens.recognise(engine, writes, now)
    assert found
    assert not found.may_write
    assert [one.name for one in tokens.every(engine, viewer)] == ["reads"]
    with pytest.raises(UsageError, match="no such token"):  # somebody else's
        tokens.revoke(engine, found.id, user_id=viewer)
    with engine.begin() as conn:
        conn.exec_driver_sql("delete from \"user\" where name = 'Vic'")
    assert tokens.recognise(engine, reads, now) is None


def test_what_is_no_token_is_refused_in_words(engine: Engine, now: datetime, eva: int) -> None:
    tokens.make(engine, eva, "script", "read", now)
    for name, scope, end, told in (
        ("", "read", None, "1 to 64 letters"),
        ("x" * 65, "read", None, "1 to 64 letters"),
        ("a\x1bb", "read", None, "1 to 64 letters"),
        ("other", "admin", None, "cannot be for 'admin'"),
        ("other", "read", now, "ended already"),
        ("script", "read", None, "there is a token 'script' already"),
    ):
        with pytest.raises(UsageError, match=told):
            tokens.make(engine, eva, name, scope, now, expires_at=end)
    with pytest.raises(UsageError, match="no such user"):
        tokens.make(engine, eva + 1000, "other", "read", now)
    for number in range(TOKENS_MAX - 1):
        tokens.make(engine, eva, f"n{number}", "read", now)
    with pytest.raises(UsageError, match="100 tokens already"):
        tokens.make(engine, eva, "one more", "read", now)


def test_whoever_has_the_machine_makes_tokens_of_the_owner(engine: Engine, now: datetime) -> None:
    with pytest.raises(UsageError, match="Set a password first"):
        tokens.make_for_owner(engine, "script", "read", now)
    accounts.add_owner(engine, "Eva", PASSWORD, now)
    found = tokens.recognise(engine, tokens.make_for_owner(engine, "script", "write", now), now)
    assert found
    assert (found.user, found.may_write) == ("Eva", True)


def test_tokens_are_listed_by_name_whatever_its_case(engine: Engine, now: datetime, eva: int) -> None:
    for name in ("beta", "Alpha", "Gamma", "alpha 2"):
        tokens.make(engine, eva, name, "read", now)
    assert [one.name for one in tokens.every(engine)] == ["Alpha", "alpha 2", "beta", "Gamma"]
