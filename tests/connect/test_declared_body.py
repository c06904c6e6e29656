"""Bodies of requests in words: what a file says, filled from the parameters of a request."""

import re
from typing import Any

import pytest

from tests.connect.test_declared import EXAMPLES, PLAIN, plain
from tracker.connect.declared.connector import declare
from tracker.connect.rows import decode
from tracker.errors import UsageError


def question(words: str, params: dict[str, str]) -> Any:
    body = plain('rows = "data"', f'rows = "data"\n{words}').resources[0].body
    assert body
    return decode(body(params))


def test_a_body_is_filled_from_the_parameters_and_what_it_does_not_name_is_added() -> None:
    inner = 'range = {page = "{page}", "by kind" = "a {kind}!"}'
    words = f'params = {{kind = "sale"}}\nbody = {{of = "{{site}}", {inner}, all = true}}'
    own = {"site": "s-1", "base_url": "https://api.plain.example"}
    assert question(words, own | {"kind": "sale", "page": "2", "extra": "x"}) == {
        "of": "s-1", "range": {"page": "2", "by kind": "a sale!"}, "all": True, "extra": "x",
    }  # fmt: skip
    numbered = question(f'{words}\nnumbers = ["page", "kind"]', {"page": "2", "kind": "-3"})
    assert numbered == {"range": {"page": 2, "by kind": "a -3!"}, "all": True}
    assert question("body = {}", own | {"page": "1"}) == {"page": "1"}
    with pytest.raises(UsageError, match=r"^page must be a whole number, not 'x'\. Correct it"):
        question('body = {}\nnumbers = ["page"]', {"page": "x"})


def test_the_manual_shows_what_its_body_asks() -> None:
    manual = (EXAMPLES.parents[1] / "docs" / "custom-providers.md").read_text("utf-8")
    [(words, shown)] = re.findall(r"```toml\n(params.*?)```\n\nasks for `(.*?)`", manual, re.DOTALL)
    without = PLAIN.replace("plan = {full = true}\n", "").replace('paging = {page_number = "page"}\n', "")
    [sales] = declare("plain.toml", without.replace('rows = "data"', f'rows = "data"\n{words}')).resources
    assert sales.body
    asked = sales.body({**sales.params, "site": "7", "from": "…", "to": "…", "page": "1", "per_page": "100"})
    assert asked.decode() == shown.replace('": ', '":').replace(", ", ",")


def test_a_name_without_a_value_leaves_its_key_out_of_the_body() -> None:
    words = 'body = {after = "{page}", ids = ["{site}", 1], deep = {after = "{page}"}}'
    assert question(words, {"site": ""}) == {"ids": [1], "deep": {}}


def test_words_in_braces_with_spaces_are_no_names() -> None:
    query = "query { site(id: 5) { id name } }"
    assert question(f'body = {{query = "{query}"}}', {}) == {"query": query}
