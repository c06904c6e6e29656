"""Every English sentence that a page can show, taken from where it stands in the code."""

import ast
import pkgutil
import re
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path

from babel.messages.catalog import Catalog

import connectors
from tests import catalogues
from tracker import errors
from tracker.connect import catalog
from tracker.connect.connector import Connector, Credential, Option
from tracker.mail import InDoubt, Refused
from tracker.settings import Settings
from tracker.statements.profiles import shelf
from tracker.stored import FIELDS
from tracker.web import errors_told

ROOT = Path(__file__).parents[2]
#: The context of errors in the catalogues, where they stand beside the sentences of the pages.
ERROR = "error"
#: No page shows what these say: commands, the sandbox, the API, what is wrong before there is a page, what developers
#: use. What is wrong with a definition of the user's own is told in English, like the words of the definition.
UNSEEN = (
    "tracker/cli/", "tracker/demo/", "tracker/web/api/", "tracker/web/listen.py", "tracker/launch.py",
    "tracker/settings.py", "tracker/connect/workbench.py", "tracker/connect/replay.py", "tracker/connect/webhook.py",
    "tracker/connect/declared/", "tracker/statements/profiles/profile.py",
)  # fmt: skip
#: Functions and constants whose texts pages show, though they raise none of them.
TELLING = {
    "tracker/connect/answer.py": ("why",),
    "tracker/connections.py": ("pause", "why_paused"),
    "tracker/delivery.py": ("_told", "_busy", "_deliver", "_close_broken_off"),
    "tracker/discover.py": ("_see",),
    "tracker/jobs.py": ("health_of",),
    "tracker/mail.py": ("__init__", "start_tls", "log_in", "hand_over", "address", "_TOO_LARGE"),
    "tracker/sample.py": ("READ",),
    "tracker/settings.py": ("_problem",),
    "tracker/statements/desk.py": ("run", "_understand"),
    "tracker/statements/headers.py": ("_unknown",),
    "tracker/statements/reading.py": ("_NO_TABLE",),
    "tracker/statements/statement.py": ("_line",),
    "tracker/sync.py": ("read",),
    "tracker/tending.py": ("REMOVED",),
    "tracker/trial.py": ("_try",),
    "tracker/vault.py": ("_load",),
    "tracker/web/pages/importing.py": ("BELOW", "send"),
    "tracker/web/pages/settings.py": ("OTHER_SERVER",),
}
_RAISED = {name for name, one in vars(errors).items() if isinstance(one, type)} | {Refused.__name__, InDoubt.__name__}
_SAID = {"Finding": ("check", "message", "next")}
Form = tuple[str | None, ...]
Known = dict[str, list[ast.expr]]


def said() -> Catalog:
    """Every sentence: of the pages, of what connectors declare, and of errors."""
    found = catalogues.said("web")
    for text in declared():
        found.add(text)
    for text in told():
        found.add(text, context=ERROR)
    return found


# --- what connectors declare ---


def built_in() -> list[Connector]:
    return [catalog.find(one.name.replace("_", "-")) for one in pkgutil.iter_modules(connectors.__path__)]


def declared() -> set[str]:
    """Labels, help, warnings, rights, and names of resources and lists; titles and notes of statement profiles."""
    found = {text for profile in shelf.every() for text in (profile.title, profile.note)}
    for connector in built_in():
        wanted: list[Credential | Option] = [*connector.credentials.values(), *connector.options.values()]
        found |= {text for one in wanted for text in (one.label, one.help)}
        found |= {connector.warning, *(one.what for one in connector.discover)}
        for resource in connector.resources:
            found |= {resource.right, resource.name.replace("_", " ").replace("-", " ")}
    return found - {""}


# --- errors ---


def told() -> set[str]:
    """Sentences of errors, each gap as {1}, {2}…"""
    found = {f"Expected {Settings.model_fields[name].description}." for name in FIELDS}
    for connector in built_in():  # these stand inside of errors as well
        found |= {one.what for one in connector.discover} | {one.right for one in connector.resources if one.right}
    for profile in shelf.every():
        found |= {one for refusal in profile.refuse for one in errors_told.sentences(refusal.because)}
    for part in ("tracker", "connectors"):
        for path in sorted((ROOT / part).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            tree = ast.parse(path.read_text("utf-8"))
            if not name.startswith(UNSEEN):
                found |= set(_raised(tree))
            if name in TELLING:
                found |= set(_telling(tree, TELLING[name]))
    return found


def _raised(tree: ast.Module) -> Iterator[str]:
    """What errors and findings say, message and hint together as they are shown."""
    for call, known in _calls(tree):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        given = {word.arg: word.value for word in call.keywords}
        if name in _RAISED and call.args:
            for message, hint in product(_forms(call.args[0], known), _forms(given.get("hint"), known)):
                yield from _sentences((*message, " ", *hint))
        for word in _SAID.get(name, ()):
            for form in _forms(given.get(word), known):
                yield from _sentences(form)


def _calls(tree: ast.Module) -> Iterator[tuple[ast.Call, Known]]:
    """Every call, with what the names around it were given."""
    outer = _given(tree.body)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    inside = {id(node): function for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = inside.get(id(node))
            yield node, outer | _given(ast.walk(function)) if function else outer


def _given(nodes: Iterable[ast.AST]) -> Known:
    """What each name was given."""
    found: Known = {}
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, []).append(node.value)
    return found


def _forms(node: ast.expr | None, known: Known) -> list[Form]:
    """What an expression can be: its constant parts in order, with None for each gap."""
    match node:
        case None:
            return [()]
        case ast.Constant(value=str(text)):
            return [(text,)]
        case ast.JoinedStr(values=values):
            return [sum(parts, ()) for parts in product(*(_forms(value, known) for value in values))]
        case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
            return _forms(value, known)
        case ast.IfExp(body=body, orelse=orelse):
            return _forms(body, known) + _forms(orelse, known)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return [one + other for one, other in product(_forms(left, known), _forms(right, known))]
        case ast.Name(id=name) if all(_is_text(value) for value in known.get(name, [node])):
            return [form for value in known[name] for form in _forms(value, {})]
    return [(None,)]


def _is_text(node: ast.expr) -> bool:
    if isinstance(node, ast.IfExp):
        return _is_text(node.body) and _is_text(node.orelse)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _telling(tree: ast.Module, names: tuple[str, ...]) -> Iterator[str]:
    """Texts of more than a word in a function or a constant, without docstrings."""
    for node in ast.walk(tree):
        name = node.name if isinstance(node, ast.FunctionDef) else None
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        if name in names:
            yield from _texts(node)


def _texts(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.JoinedStr | ast.Constant):
            for form in _forms(child, {}):
                text = "".join(part or "0" for part in form).strip()
                if " " in text and not text.isupper():
                    yield from _sentences(form)
        elif not (_is_docstring(child) or _is_log(child)):
            yield from _texts(child)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_log(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log.")


def _sentences(form: Form) -> Iterator[str]:
    """A form cut into sentences, each with gaps of its own, without what they are about in front of them."""
    text = "".join("{0}" if part is None else part for part in form).strip()
    for one in errors_told.sentences(re.sub(r"(\{0\})+", "{0}", text)):
        first, *others = re.sub(r"^(\{0\}|--[a-z-]+|[a-z_]+): ", "", one).split("{0}")
        if re.search(r"[A-Za-z]{3}", " ".join((first, *others))):
            yield first + "".join(f"{{{number}}}{part}" for number, part in enumerate(others, 1))
