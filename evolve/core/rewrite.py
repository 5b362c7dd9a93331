"""A model's reply that gives code anew in full, put into the evolve blocks of a program.

The reply may repeat whole files, with or without the marker lines, or give only what stands inside
of the one block. Text outside of the blocks stays as it is, and must be repeated unchanged or not
at all. In doubt a reply is refused, with a message fit for the model that wrote it.
"""

from __future__ import annotations

import ast
import textwrap

from evolve.core.errors import PatchError
from evolve.core.fences import Code, fenced_code
from evolve.core.hunks import Reason, elisions, holds_hunk, without_thoughts
from evolve.core.matching import Shift, line_ending
from evolve.core.program import END, START, Program, Region, split_lines
from evolve.core.syntax import parse_quietly

#: Languages of fences that stand beside a program rather than for it.
_NOT_CODE = {"bash", "console", "diff", "json", "output", "sh", "shell", "text", "txt"}


def extract_rewrite(text: str, program: Program) -> Program:
    """Put the code that a reply gives in full into the evolve blocks of ``program``.

    Files are given in code fences, with the path in the line above or in the fence's info string
    where the program has several. Without a fence the whole reply must be code.

    Raises:
        PatchError: no code, code that may be put in two ways, code that is cut short, or a change
            outside of the evolve blocks.
    """
    reply = without_thoughts(text)
    if holds_hunk(reply) and not any(map(holds_hunk, program.files.values())):
        raise PatchError(Reason.MALFORMED, "the reply holds SEARCH/REPLACE edits; give whole code")
    codes = _assign(reply, program)
    replacements: dict[Region, str] = {}
    for path, code in codes.items():
        if left_out := elisions(code.text) - elisions(program.files[path]):
            message = f"{path}: {min(left_out)!r} stands for code that is left out; write all lines"
            raise PatchError(Reason.ELIDED, message)
        replacements |= _blocks(program, path, code.text)
    try:
        rewritten = program.replace(replacements)
    except ValueError as error:
        raise PatchError(Reason.OUTSIDE_BLOCKS, f"{error}; leave marker lines out") from error
    for path, code in codes.items():
        if not code.closed and path.endswith(".py") and not _parses(rewritten.files[path]):
            raise PatchError(Reason.MALFORMED, f"{path}: its code fence is never closed")
    if rewritten == program:
        raise PatchError(Reason.NO_OP, "the code is the program as it was")
    return rewritten


def _assign(reply: str, program: Program) -> dict[str, Code]:
    """Return which file gets which code of the reply."""
    targets = list(dict.fromkeys(region.path for region in program.regions))
    if len(targets) == 1 and _is_code(reply, targets[0]):  # its docstrings may hold fences
        return {targets[0]: Code(reply)}
    pieces = [
        piece
        for piece in fenced_code(reply)
        if piece.path or START in piece.text or piece.language not in _NOT_CODE
    ]
    if not pieces and len(targets) == 1 and START in reply:
        return {targets[0]: Code(reply)}
    if not pieces:
        raise PatchError(Reason.NO_EDIT, "the reply has no code between lines ```")
    if len(program.files) == 1:
        return {targets[0]: _only(pieces)}
    if len(pieces) == len(targets) == 1 and pieces[0].path is None:
        return {targets[0]: pieces[0]}
    codes: dict[str, Code] = {}
    for piece in pieces:
        path = _file(piece, program)
        if codes.setdefault(path, piece).text != piece.text:
            raise PatchError(Reason.AMBIGUOUS, f"the reply gives {path} twice; give it once")
    return codes


def _is_code(reply: str, path: str) -> bool:
    """Tell whether all of the reply is Python, and more than words that happen to be."""
    tree = parse_quietly(textwrap.dedent(reply)) if path.endswith(".py") else None
    return isinstance(tree, ast.Module) and any(
        not isinstance(statement, ast.Expr) for statement in tree.body
    )


def _only(pieces: list[Code]) -> Code:
    """Return the one piece that can be meant: all are the same, or one alone has markers."""
    marked = [piece for piece in pieces if START in piece.text]
    if len({piece.text for piece in pieces}) == 1:
        return pieces[0]
    if len(marked) == 1:
        return marked[0]
    raise PatchError(
        Reason.AMBIGUOUS,
        f"the reply has {len(pieces)} pieces of code in fences; give the new program in one",
    )


def _file(piece: Code, program: Program) -> str:
    """Return the file that ``piece`` is said to be."""
    if piece.path is None:
        raise PatchError(
            Reason.MALFORMED,
            "the path is missing in the line above a piece of code; the program has "
            + ", ".join(program.files),
        )
    path = program.resolve(piece.path)
    if path is None:
        raise PatchError(
            Reason.UNKNOWN_FILE,
            f"the program has no file {piece.path!r}; it has {', '.join(program.files)}",
        )
    return path


def _blocks(program: Program, path: str, text: str) -> dict[Region, str]:
    """Return what ``text`` gives each evolve block of the file."""
    old = program.files[path]
    ending = line_ending(split_lines(old))
    text = "".join(line.rstrip("\r\n") + ending for line in split_lines(text))
    regions = [region for region in program.regions if region.path == path]
    if not regions:
        if _frame(text) != _frame(old):
            raise _outside(path)
        return {}
    if not any(program.outside[path]):
        return {regions[0]: text if old.endswith("\n") or not old else text.removesuffix(ending)}
    if START in text or END in text:
        return _between_markers(program, path, text, regions)
    if len(regions) > 1:
        message = f"{path} has {len(regions)} evolve blocks; repeat the marker lines around each"
        raise PatchError(Reason.MALFORMED, message)
    return {regions[0]: _inside(program, regions[0], text)}


def _between_markers(
    program: Program, path: str, text: str, regions: list[Region]
) -> dict[Region, str]:
    try:
        given = Program({path: text})
    except ValueError as error:
        raise PatchError(Reason.MALFORMED, f"{error}; repeat the marker lines") from error
    if len(given.regions) != len(regions):
        message = f"{path} has {len(regions)} evolve blocks, the reply {len(given.regions)}"
        raise PatchError(Reason.MALFORMED, message)
    for theirs, ours in zip(given.outside[path], program.outside[path], strict=True):
        if _frame(theirs) not in ([], _frame(ours)):
            raise _outside(path)
    return {ours: given.text(theirs) for ours, theirs in zip(regions, given.regions, strict=True)}


def _inside(program: Program, region: Region, text: str) -> str:
    """Return what ``text``, which has no markers, gives the only block of its file."""
    before, after = map(_frame, program.outside[region.path])
    lines = _trimmed(split_lines(text))
    bare = [line.rstrip() for line in lines]
    whole = len(bare) >= len(before) + len(after) and (before or after)
    if whole and bare[: len(before)] == before and bare[len(bare) - len(after) :] == after:
        return "".join(_trimmed(lines[len(before) : len(lines) - len(after)]))
    heads = {line for line in before + after if line[:1].strip() and set(line) & set("({:")}
    if heads & set(bare):
        raise _outside(region.path)
    return _reindented(program, region, lines)


def _reindented(program: Program, region: Region, lines: list[str]) -> str:
    """Give ``lines`` the indentation of the block, which is that of its first line or marker."""
    text = "".join(lines)
    old = _trimmed(split_lines(program.text(region)))
    marker = split_lines(program.files[region.path])[region.first - 1]
    shift = Shift.between(lines[0], old[0] if old else marker) if lines else None
    shifted = shift.apply(lines) if shift else None
    if shifted is None:
        return text
    if region.path.endswith(".py"):
        rewritten = program.replace({region: "".join(shifted)})
        return "".join(shifted) if _parses(rewritten.files[region.path]) else text
    return "".join(shifted)


def _frame(text: str) -> list[str]:
    """Return the lines of ``text`` to be compared: no markers, no white space at their ends."""
    lines = [line.rstrip() for line in split_lines(text) if START not in line and END not in line]
    return _trimmed(lines)


def _trimmed(lines: list[str]) -> list[str]:
    """Drop blank lines at both ends."""
    filled = [number for number, line in enumerate(lines) if line.strip()]
    return lines[filled[0] : filled[-1] + 1] if filled else []


def _parses(source: str) -> bool:
    return isinstance(parse_quietly(source), ast.Module)


def _outside(path: str) -> PatchError:
    return PatchError(
        Reason.OUTSIDE_BLOCKS,
        f"the reply changes {path} outside of its evolve blocks; repeat that text as it is, or "
        f"give only what stands between {START} and {END}",
    )
