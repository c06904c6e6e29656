"""From the bytes of an answer to rows: split without decoding, digest, decode exactly, scrub people.

A page is split into raw rows (`msgspec.Raw`) so that the rows that are as before cost a digest and no decoding.
Decoded numbers with a fraction are `Decimal`, straight from their text.
"""

import csv
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from hashlib import blake2b
from io import StringIO
from typing import Any

import msgspec
from requests.structures import CaseInsensitiveDict

from tracker.connect.fields import Row, lookup
from tracker.errors import UnexpectedData

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_rows_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_KEPT_SAFE = "Nothing was lost: the next sync asks for it again."
_shapes: dict[tuple[str, tuple[str, ...]], msgspec.json.Decoder[Any]] = {}


class Page(msgspec.Struct, kw_only=True):
    """One answer. `rows` are undecoded, `envelope` holds the values at the paths that the pager asked for."""

    rows: list[msgspec.Raw]
    envelope: Mapping[str, Any] = {}
    headers: CaseInsensitiveDict[str] = msgspec.field(default_factory=CaseInsensitiveDict)
    links_next: str | None = None
    body: bytes = b""
    status: int = 200

    def value_of_last(self, dotted: str) -> Any:
        return lookup(decode(self.rows[-1]), tuple(dotted.split("."))) if self.rows else None


def decode(raw: bytes | msgspec.Raw) -> Any:
    """JSON with exact numbers. Raises UnexpectedData."""
    try:
        return _decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError, ArithmeticError, UnicodeDecodeError) as error:
        raise UnexpectedData(f"the answer is not valid JSON ({error}).", hint=_KEPT_SAFE) from None


def encode(value: object) -> bytes:
    """JSON, numbers as they were: a Decimal is written as a number again."""
    return msgspec.json.Encoder(decimal_format="number").encode(value)


def csv_as_json(body: bytes, *needed: str) -> bytes:
    """A list of objects from UTF-8 CSV with a header row. Names become "payment_id" for "Payment ID", values stay text.

    What is JSON already stays as it is. Raises UnexpectedData where a `needed` column is missing, as in an error that
    is written as plain text.
    """
    if body.lstrip()[:1] in (b"[", b"{"):
        return body
    try:
        lines = csv.reader(StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        names = [re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") for name in next(lines, [])]
        rows = [dict(zip(names, line, strict=False)) for line in lines if any(line)]
    except (csv.Error, UnicodeDecodeError) as error:
        raise UnexpectedData(f"the answer is not valid CSV ({error}).", hint=_KEPT_SAFE) from None
    if missing := [name for name in needed if name not in names]:
        raise UnexpectedData(f"the report has no column {', '.join(missing)}, but {', '.join(names)[:200]}.")
    return encode(rows)


def added(raw: msgspec.Raw, more: Mapping[str, Any]) -> msgspec.Raw:
    """The row with what the request knew, or the answer says beside the rows."""
    row = decode(raw)
    return msgspec.Raw(encode({**row, **more})) if isinstance(row, dict) else raw


def digest(raw: bytes | msgspec.Raw) -> bytes:
    """Sixteen bytes that stand for the content of a row or a page."""
    return blake2b(raw, digest_size=16).digest()


def split(body: bytes, rows: str, envelope: tuple[str, ...]) -> tuple[list[msgspec.Raw], dict[str, Any]]:
    """The raw rows at the path `rows` ("" is the document itself) and the values at the envelope's paths.

    Raises UnexpectedData when the document is not JSON or has no list there.
    """
    try:
        if not rows:
            return _rows_decoder.decode(body), {}
        shape = _shapes.get((rows, envelope)) or _shapes.setdefault((rows, envelope), _shape(rows, envelope))
        document = shape.decode(body)
    except (msgspec.DecodeError, RecursionError, ArithmeticError, UnicodeDecodeError) as error:
        raise UnexpectedData(f"the answer does not have the documented shape ({error}).", hint=_KEPT_SAFE) from None
    found = _attribute(document, rows)
    if found is None:
        raise UnexpectedData(f"the answer has no list at {rows!r}.", hint=_KEPT_SAFE)
    return found, {name: _attribute(document, name) for name in envelope}


def _shape(rows: str, envelope: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    """A decoder that reads just the named paths of a document and skips the rest."""
    tree: dict[str, Any] = {}
    for dotted in (*envelope, rows):
        *parents, leaf = dotted.split(".")
        node = tree
        for key in parents:
            node = node.setdefault(key, {})
        node[leaf] = list[msgspec.Raw] | None if dotted == rows else Any

    def struct(node: dict[str, Any]) -> Any:
        fields = [
            (f"f{number}", struct(kind) | None if isinstance(kind, dict) else kind, None)
            for number, kind in enumerate(node.values())
        ]
        names = {f"f{number}": key for number, key in enumerate(node)}
        return msgspec.defstruct("Shape", fields, rename=names, namespace={"paths": {k: f for f, k in names.items()}})

    return msgspec.json.Decoder(struct(tree), float_hook=Decimal)


def _attribute(document: Any, dotted: str) -> Any:
    for key in dotted.split("."):
        if document is None:
            return None
        document = getattr(document, type(document).paths[key])
    return document


def scrub(
    row: Row, drop: Iterable[tuple[str, ...]], pseudonyms: Iterable[tuple[str, ...]], name: Callable[[str], str]
) -> bool:
    """Take personal fields out of a row, in place: `drop` paths vanish, `pseudonyms` paths get a lasting stand-in.

    A "*" in a path stands for every element of a list or every value of a dict. Answers whether the row changed: where
    nothing stood, it is kept as it came.
    """
    changed = False
    for path in drop:
        for holder in _holders(row, path):
            del holder[path[-1]]
            changed = True
    for path in pseudonyms:
        for holder in _holders(row, path):
            holder[path[-1]] = name(str(holder[path[-1]]).strip().lower())
            changed = True
    return changed


def _holders(row: Row, path: tuple[str, ...]) -> Sequence[dict[str, Any]]:
    """The dicts inside a row in which the last key of a path holds something."""
    key = path[-1]
    if len(path) == 1:  # nearly all, and every row passes here
        return () if row.get(key) in (None, "") else (row,)
    found: list[Any] = [row]
    for step in path[:-1]:
        inner: list[Any] = []
        for value in found:
            if step != "*":
                inner += [value[step]] if isinstance(value, dict) and step in value else []
            elif isinstance(value, list | dict):
                inner += value.values() if isinstance(value, dict) else value
        found = inner
    return [value for value in found if isinstance(value, dict) and value.get(key) not in (None, "")]
