"""A statement's length costs time, not memory."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

from tests.statements.told import understood
from tests.world import World
from tracker.statements import importing

HEADER = "Type,Product,Started Date,Completed Date,Description,Amount,Fee,Currency,State,Balance\n"


def lines(count: int) -> Iterator[str]:
    yield HEADER
    for number in range(count):
        day, second = 1 + number % 28, number // 28
        clock = f"{second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
        yield (
            f"TOPUP,Current,2026-03-{day:02d} {clock},2026-03-{day:02d} {clock},"
            f"Payment {number} from Stripe,{number % 997}.25,0.10,EUR,COMPLETED,1\n"
        )


def peak(tmp_path: Path, count: int) -> int:
    """Bytes that Python held at most while it read so many rows and made them ready for the ledger."""
    file = tmp_path / f"{count}.csv"
    with file.open("w") as out:
        out.writelines(lines(count))
    statement = understood(file)
    tracemalloc.start()
    try:
        assert sum(len(batch) for batch in importing._batches(statement.lines())) == count
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_ten_times_the_rows_take_the_same_memory(tmp_path: Path) -> None:
    peak(tmp_path, 100)  # what is made once
    small, large = peak(tmp_path, 3_000), peak(tmp_path, 30_000)
    assert large < small * 1.3


def test_rows_are_written_a_batch_at_a_time(world: World, tmp_path: Path) -> None:
    file = tmp_path / "long.csv"
    with file.open("w") as out:
        out.writelines(lines(2_500))
    statement = understood(file)
    row = importing.make_connection(world.deps, statement.profile, None)
    heard: list[int] = []
    importing.import_statement(world.deps, row, statement, lambda report: heard.append(report.rows))
    assert heard == [1_000, 2_000, 2_500]
    assert world.ask("select count(*), count(distinct fingerprint) from bank_line") == [(2_500, 2_500)]
