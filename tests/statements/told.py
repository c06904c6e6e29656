"""What the tracker understands of a statement, as text to compare."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tracker.connect.normalise import normalise, prepare
from tracker.errors import DataError
from tracker.statements.headers import recognise
from tracker.statements.preview import outline
from tracker.statements.profiles import shelf
from tracker.statements.reading import open_file
from tracker.statements.statement import Asked, Statement, settle

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def understood(path: Path, **asked: str) -> Statement:
    opened = open_file(path)
    return settle(opened, recognise(opened, shelf.every()), Asked(**asked))


def told(statement: Statement) -> str:
    found = outline(statement)
    head = f"{found.profile}: {found.encoding or 'XLSX'} {found.delimiter}{','.join(found.sheets)}, "
    head += f"decimal {found.decimal}, dates {found.dates}, currency {found.currency or '-'}\n"
    lines = [head, f"not kept: {', '.join(found.left_out)}\n"]
    resource = statement.profile.resource
    for line in statement.lines():
        fault = line.fault
        try:
            if fault is None:
                row = prepare(resource, line.kept, lambda text: f"<{len(text)}>", lambda row: row)
                made = normalise(resource, row.row, {"account": "mine"}, NOW)
                for record in made:
                    kept = {key: value for key, value in msgspec.structs.asdict(record).items() if value is not None}
                    text = msgspec.json.encode({type(record).__name__: kept}).decode()
                    lines.append(f"{line.place.partition(' of ')[0]}: {text}\n")
                if not made:
                    lines.append(f"{line.place.partition(' of ')[0]}: nothing\n")
        except DataError as error:
            fault = error
        if fault is not None:
            lines.append(f"{line.place.partition(' of ')[0]}: quarantine: {fault}\n")
    lines.append(f"left out: {statement.skipped}\n")
    return "".join(lines)
