"""Constrained decoding: the edits of one program as a grammar, or as a JSON schema.

The SEARCH part can only be lines that the program has, once, so that every edit applies. In Python
the REPLACE part is statements of a small part of the language, made of the program's own names, so
that most results compile.
"""

from __future__ import annotations

import builtins
import io
import json
import keyword
import tokenize
from collections.abc import Iterator, Mapping, Sequence

from evolve.core.errors import PatchError
from evolve.core.hunks import Hunk, Reason, without_thoughts
from evolve.core.program import Program
from evolve.propose.editable import Editable, editables

#: Names of Python that a program may use without having used them before.
_COMMON = ("abs", "float", "int", "len", "max", "min", "range", "round", "sum")
#: Levels of blocks inside a replaced statement.
_DEEPEST = 3
#: After these a name is no variable of the program.
_NOT_OWN = (".", "def", "class", "import", "from", "as")
_EXPRESSIONS: Mapping[str, str] = {
    "expr": 'term (operator term){0,5} (" if " term " else " term)?',
    "operator": '" + " | " - " | " * " | " / " | " // " | " % " | "**" | " < " | " > " | " <= "'
    ' | " >= " | " == " | " and " | " or "',
    "term": '"-"? (name trailer{0,2} | number | "(" expr ")" | "[" expr (", " expr){0,3} "]")',
    "trailer": '"(" (expr (", " expr){0,3})? ")" | "[" expr "]"',
    "number": '("0" | [1-9] [0-9]{0,3}) ("." [0-9]{1,6})?',
}


def edit_grammar(program: Program) -> str:
    """Return a GBNF grammar of the replies that edit ``program``: a sentence, then one hunk.

    Raises:
        PatchError: nothing of the program can be edited this way.
    """
    found = _found(program)
    rules: dict[str, str] = {
        "root": "thought hunk",
        "thought": 'word (" " word){3,11} ".\\n\\n"',
        "word": "[A-Za-z0-9+*/()=-]{1,12}",
        "hunk": '"<<<<<<< SEARCH\\n" edit ">>>>>>> REPLACE\\n"',
        "edit": " | ".join(f"edit{number}" for number in range(len(found))),
    }
    if any(each.python for each in found):
        rules |= _EXPRESSIONS
        targets = [*_assigned(program), "value", "extra"]
        rules["name"] = _one_of([*_names(program), *_COMMON, *targets])
        rules["target"] = _one_of(targets)
    if not all(each.python for each in found):
        rules["line"] = "[^<=>\\n] [^\\n]{0,160}"
    for number, each in enumerate(found):
        start = f"{_literal(each.text)} {_literal('=======' + chr(10))}"
        if each.python:
            rules |= _statements(each.indent)
            statement = f"statement{_prefix(each.indent)}"
            returned = f'{_literal(each.indent + "return ")} expr "\\n"'
            last = returned if each.returns else statement
            rules[f"edit{number}"] = f"{start} {statement}{{0,6}} {last}"
        else:
            rules[f"edit{number}"] = (
                f'{start} {_literal(each.indent)} line "\\n" (line "\\n"){{0,12}}'
            )
    return "\n".join(f"{name} ::= {body}" for name, body in rules.items()) + "\n"


def edit_schema(program: Program) -> dict[str, object]:
    """Return a JSON schema of the replies that edit ``program``.

    Raises:
        PatchError: nothing of the program can be edited this way.
    """
    edit = {
        "type": "object",
        "properties": {
            "search": {"type": "string", "enum": [each.text for each in _found(program)]},
            "replace": {"type": "string"},
        },
        "required": ["search", "replace"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {
            "summary": {"type": "string"},
            "edits": {"type": "array", "items": edit},
        },
        "required": ["summary", "edits"],
        "additionalProperties": False,
    }


def edits_of_json(reply: str) -> tuple[Hunk, ...]:
    """Return the hunks of a reply that follows `edit_schema`.

    Raises:
        PatchError: it does not.
    """
    edits = _of_json(reply, "edits")
    if not isinstance(edits, list) or not all(map(_is_edit, edits)):
        raise PatchError(Reason.NO_EDIT, "the reply is not the JSON that was asked for")
    return tuple(Hunk(search=each["search"], replace=_whole(each["replace"])) for each in edits)


def summary_of_json(reply: str) -> str:
    """Return the sentence of a reply that follows `edit_schema`; empty for any other."""
    summary = _of_json(reply, "summary")
    return summary.strip() if isinstance(summary, str) else ""


def _of_json(reply: str, name: str) -> object:
    try:
        data = json.loads(without_thoughts(reply))
    except (ValueError, RecursionError):
        return None
    return data.get(name) if isinstance(data, dict) else None


def _is_edit(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(value.get(name), str) for name in ("search", "replace")
    )


def _found(program: Program) -> tuple[Editable, ...]:
    found = editables(program)
    if not found:
        raise PatchError(Reason.NO_EDIT, "nothing in the evolve blocks can be edited line by line")
    return found


def _statements(indent: str) -> dict[str, str]:
    """Return the rules of statements that are indented by ``indent``, and of those inside them."""
    rules: dict[str, str] = {}
    for depth in range(_DEEPEST):
        here = indent + depth * _step(indent)
        simple = '(target | name "[" expr "]") (" = " | " += " | " -= " | " *= ") expr "\\n"'
        body = f"{_literal(here)} {simple}"
        if depth + 1 < _DEEPEST:
            inner = f"statement{_prefix(here + _step(indent))}"
            heads = '"if " expr | "for " target " in " expr'
            body += f' | {_literal(here)} ({heads}) ":\\n" {inner}{{1,3}}'
        rules[f"statement{_prefix(here)}"] = body
    return rules


def _step(indent: str) -> str:
    return "\t" if indent.startswith("\t") else "    "


def _prefix(indent: str) -> str:
    """Return an indentation as a part of a rule's name."""
    return f"-{len(indent)}{'t' if indent.startswith(chr(9)) else 's'}"


def _one_of(words: Sequence[str]) -> str:
    return " | ".join(map(_literal, dict.fromkeys(words)))


def _names(program: Program) -> list[str]:
    """Return the names that a program's Python uses, and functions of modules that it imports."""
    found = [name for name, follower in _tokens(program) if follower != "."]
    modules = {name for name, follower in _tokens(program) if follower == "."}
    members = {
        "np": ("abs", "exp", "log", "maximum", "minimum", "sqrt", "where"),
        "math": ("cos", "exp", "log", "pi", "sin", "sqrt"),
    }
    return found + [
        f"{module}.{name}"
        for module, known in members.items()
        if module in modules
        for name in known
    ]


def _assigned(program: Program) -> list[str]:
    """Return the names to which it assigns simple values."""
    found = dict.fromkeys(
        name for name, follower in _tokens(program) if follower in ("=", "+=", "-=", "*=", "in")
    )
    return [name for name in found if not hasattr(builtins, name)]


def _tokens(program: Program) -> Iterator[tuple[str, str]]:
    """Yield every name with the token after it."""
    for path, text in program.files.items():
        if not path.endswith(".py"):
            continue
        try:
            tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
        except (tokenize.TokenError, SyntaxError):
            continue
        for before, token, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
            own = token.type == tokenize.NAME and before.string not in _NOT_OWN
            if own and not keyword.iskeyword(token.string) and after.string != ":":
                yield token.string, after.string


def _literal(text: str) -> str:
    """Return ``text`` as a GBNF literal."""
    return json.dumps(text, ensure_ascii=False)


def _whole(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"
