"""The body of a POST in words: `body = {site = "{site}", range = {from = "{from}"}}`, sent as JSON."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tracker.connect.rows import encode
from tracker.errors import UsageError

BRACES = re.compile(r"{(\w+)}")


def texts(value: object) -> Iterator[str]:
    """Every text in a value."""
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(one)
    if isinstance(value, str):
        yield value


class Body:
    """Makes the body of a request from its parameters, which are texts.

    `template` is what the file says, `numbers` the parameters that stand in it as numbers. A parameter that no braces
    name is added, so that none is lost, unless it is one of `own`: options and credentials of the connection.
    """

    def __init__(self, template: Mapping[str, Any], numbers: Collection[str], own: Collection[str]) -> None:
        self._template, self._numbers = template, numbers
        self._elsewhere = {*own, *(name for text in texts(template) for name in BRACES.findall(text))}

    def __call__(self, params: Mapping[str, str]) -> bytes:
        """Raises UsageError for a value that is to be a number and is none."""
        added = {name: self._value(name, params) for name in params if name not in self._elsewhere}
        return encode({**self._filled(self._template, params), **added})

    def _filled(self, value: Any, params: Mapping[str, str]) -> Any:
        """A text that is only a name takes its value; None where there is none, and then its key is left out."""
        if isinstance(value, Mapping):
            made = {key: self._filled(one, params) for key, one in value.items()}
            return {key: one for key, one in made.items() if one is not None}
        if isinstance(value, list):
            return [one for one in (self._filled(one, params) for one in value) if one is not None]
        if not isinstance(value, str):
            return value
        if whole := BRACES.fullmatch(value):
            return self._value(whole[1], params)
        return BRACES.sub(lambda found: params.get(found[1], ""), value)

    def _value(self, name: str, params: Mapping[str, str]) -> str | int | None:
        """None where nothing is known yet: a cursor on the first page, an option that was left empty."""
        text = params.get(name) or None
        if text is None or name not in self._numbers:
            return text
        if not re.fullmatch("-?[0-9]{1,18}", text):
            raise UsageError(f"{name} must be a whole number, not {text[:40]!r}.", hint="Correct it in the connection.")
        return int(text)
