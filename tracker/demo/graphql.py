"""As much of GraphQL as one query without fragments needs: arguments, variables and the tree of selected fields."""

import re
from typing import Any

from msgspec import Struct

_TOKEN = re.compile(r'[\s,]*(?:#[^\n]*[\s,]*)*("(?:\\.|[^"\\])*"|[{}()\[\]:!=]|\$?[A-Za-z_]\w*|-?\d+(?:\.\d+)?|\S|$)')
_LARGEST = 50_000
_DEEPEST = 8


class QueryError(Exception):
    """The text is no query we understand; the message is GraphQL's "errors[].message"."""


class Field(Struct):
    name: str
    arguments: dict[str, Any]
    fields: "dict[str, Field]"


def parse(text: str, variables: dict[str, Any]) -> dict[str, Field]:
    """The root fields of `query Name($a: T) { … }` or `{ … }`. Raises QueryError."""
    if len(text) > _LARGEST:
        raise QueryError("Invalid syntax: the query is too long")
    reader = _Reader([match[1] for match in _TOKEN.finditer(text) if match[1]], variables)
    if reader.peek() == "query":
        reader.take()
        if reader.peek() not in ("{", "("):
            reader.take()
        if reader.peek() == "(":
            while reader.take() != ")":
                pass
    fields = reader.fields(0)
    if reader.peek():
        raise QueryError(f"Invalid syntax: offending token '{reader.peek()[:20]}'")
    return fields


class _Reader:
    def __init__(self, tokens: list[str], variables: dict[str, Any]) -> None:
        self._tokens, self._at, self._variables = tokens, 0, variables

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.peek()
        if not token or (wanted and token != wanted):
            raise QueryError(f"Invalid syntax: offending token '{token[:20] or '<EOF>'}'")
        self._at += 1
        return token

    def name(self) -> str:
        token = self.take()
        if not re.fullmatch(r"[A-Za-z_]\w*", token):
            raise QueryError(f"Invalid syntax: offending token '{token[:20]}'")
        return token

    def fields(self, depth: int) -> dict[str, Field]:
        if depth > _DEEPEST:
            raise QueryError("Invalid syntax: the query is too deep")
        found: dict[str, Field] = {}
        self.take("{")
        while self.peek() != "}":
            field = Field(self.name(), {}, {})
            if self.peek() == "(":
                self.take()
                while self.peek() != ")":
                    argument = self.name()
                    self.take(":")
                    field.arguments[argument] = self.value(depth)
                self.take()
            if self.peek() == "{":
                field.fields = self.fields(depth + 1)
            found[field.name] = field
        self.take("}")
        return found

    def value(self, depth: int) -> Any:
        token = self.take()
        if token == "[":  # noqa: S105 - a token of the text, not a secret
            values = []
            while self.peek() != "]":
                values.append(self.value(depth + 1))
            self.take()
            return values
        if token.startswith("$"):
            if token[1:] not in self._variables:
                raise QueryError(f"Variable '{token[1:]}' has no value")
            return self._variables[token[1:]]
        if token.startswith('"'):
            return re.sub(r"\\(.)", r"\1", token[1:-1])
        if re.fullmatch(r"-?\d{1,18}", token):
            return int(token)
        if not re.fullmatch(r"[\w.-]+", token):
            raise QueryError(f"Invalid syntax: offending token '{token[:20]}'")
        return {"true": True, "false": False, "null": None}.get(token, token)
