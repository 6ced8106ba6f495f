"""The tools of a repair agent: what each is called, what it takes, and what it answers. Answers are text, always.

`write_file` and `apply_patch` take the text of a call as it is where the model's format can carry that (Harmony), and
JSON elsewhere: a small model repaired 63.5 % with raw text where it repaired 22.5 % with JSON.

A context of some hundred tokens has no room for descriptions: there the tools are `brief`, for crates of one file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nbcore.agent.folder import Folder, Refused
from nbcore.agent.patch import applied

CARGO = ("cargo_check", "cargo_test")
RAW = ("write_file", "apply_patch")
NAMES = ("list_files", "read_file", "search", "write_file", "apply_patch", "replace_lines", *CARGO, "reset", "finish")
FEW = ("read_file", "write_file", "cargo_test", "reset")  # those that a context of some hundred tokens has room for
MOST_ARGUMENTS = 300_000  # characters of a call
MOST_SHOWN = 6_000  # characters of an answer
_MOST_FOUND = 40  # lines
_PATH = {"type": "string", "description": "A path as list_files shows it."}
_LINE = {"type": "integer", "minimum": 1}
FILE_LINE = "*** File: "  # before the text of a raw write_file: which file it is, where it is not the crate's root


def schemas(raw: bool = True, names: Sequence[str] = NAMES, brief: bool = False) -> list[dict[str, Any]]:
    """The tools of these names as JSON schemas, for the `tools` of a row. `raw`: write_file and apply_patch take plain
    text. `brief`: without descriptions, and with what a call must have alone. Raises ValueError for a name that is
    none."""
    if unknown := [name for name in names if name not in NAMES]:
        raise ValueError(f"tools: {unknown[0]!r} is none; they are {', '.join(NAMES)}")
    chosen = [tool for tool in _all(raw) if tool["function"]["name"] in names]
    return [_brief(tool["function"]) for tool in chosen] if brief else chosen


def _all(raw: bool) -> list[dict[str, Any]]:
    text = {"type": "string"}
    write = _object({"path": _PATH, "text": text}, "path", "text")
    patch = _object({"patch": text}, "patch")
    lines = {"path": _PATH, "first": _LINE, "last": {"type": "integer", "minimum": 0}, "text": text}
    whole = "Write a file, whole."
    if raw:
        whole += f" The text of the call is the file; it is src/lib.rs unless the first line is `{FILE_LINE}PATH`."
    how = "Change files: *** Begin Patch, *** Update File: PATH, @@, lines with ' ', '-' or '+', *** End Patch."
    return [
        _tool("list_files", "The files of the crate, with their lengths.", _object({})),
        _tool(
            "read_file",
            "A file's text, or some of its lines; of src/lib.rs where no path is given.",
            _object({"path": _PATH, "first": _LINE, "last": _LINE, "numbers": {"type": "boolean"}}),
        ),
        _tool("search", "The lines that hold a text, in all files.", _object({"text": text}, "text")),
        _tool("write_file", whole, text if raw else write),
        _tool("apply_patch", how, text if raw else patch),
        _tool(
            "replace_lines",
            "Put a text in the place of the lines first to last; last = first - 1 inserts it before first.",
            _object(lines, "path", "first", "last", "text"),
        ),
        _tool("cargo_check", "What the compiler says.", _object({})),
        _tool("cargo_test", "What the tests say that you may know of.", _object({})),
        _tool("reset", "The crate as it was in the beginning.", _object({})),
        _tool("finish", "The end: the hidden tests decide now.", _object({"summary": text})),
    ]


def cut(text: str, most: int = MOST_SHOWN) -> str:
    """A text that is at most about `most` characters long: its beginning and its end, and how much is left out."""
    if len(text) <= most:
        return text
    head, tail = most * 2 // 3, most // 3
    return f"{text[:head]}\n[… {len(text) - head - tail} characters left out …]\n{text[len(text) - tail :]}"


def at_once(folder: Folder, original: dict[str, str], root: str, name: str, arguments: Any) -> str:
    """The answer of a tool that needs no compiler. Raises Refused with what is wrong with the call."""
    given = arguments if isinstance(arguments, dict) else {}
    given = {key: int(value) if isinstance(value, float) else value for key, value in given.items()}  # JSON's 1.0 is 1
    if name == "list_files":
        texts = folder.texts()
        return "\n".join(f"{path} ({_count(text)} lines)" for path, text in texts.items()) or "no files"
    if name == "read_file":
        return _read(folder, {"path": root, **given})
    if name == "search":
        return _search(folder, given["text"])
    if name == "reset":
        folder.restore(original)
        return "the crate is as it was in the beginning"
    if name == "finish":
        return "finished"
    if name == "write_file":
        path, text = (given["path"], given["text"]) if given else _named(arguments, root)
        if not text.strip():
            raise Refused("the text is empty; give the whole file")
        folder.write(path, text)
        return f"wrote {path} ({_count(text)} lines)"
    if name == "replace_lines":
        return _replace(folder, given)
    if name == "apply_patch":
        changed = applied(given["patch"] if given else arguments, folder.read)
        before = folder.texts()
        try:
            for path, text in changed.items():
                folder.write(path, text)
        except Refused:
            folder.restore(before)  # a patch is applied as a whole or not at all
            raise
        return f"changed {', '.join(changed)}"
    raise AssertionError(f"{name} is no tool that answers at once")


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    named = {"required": list(required)} if required else {}
    return {"type": "object", "properties": properties, **named, "additionalProperties": False}


def _tool(name: str, description: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def _brief(function: dict[str, Any]) -> dict[str, Any]:
    parameters = function["parameters"]
    if parameters["type"] == "object":
        required = parameters.get("required", [])
        parameters = _object({name: {"type": parameters["properties"][name]["type"]} for name in required}, *required)
    return _tool(function["name"], "", parameters)


def _count(text: str) -> int:
    return text.count("\n") + (not text.endswith("\n") and bool(text))


def _lines(text: str) -> list[str]:
    """The lines as rustc counts them: other characters that Python would end a line at are a part of one."""
    return text.removesuffix("\n").split("\n") if text else []


def _named(text: str, root: str) -> tuple[str, str]:
    """The path and the text of a raw write_file."""
    first, _, rest = text.partition("\n")
    return (first.removeprefix(FILE_LINE).strip(), rest) if first.startswith(FILE_LINE) else (root, text)


def _read(folder: Folder, given: dict[str, Any]) -> str:
    lines = _lines(folder.read(given["path"]))
    first, last = given.get("first", 1), given.get("last", len(lines))
    if first > max(len(lines), 1) or (lines and last < first):
        raise Refused(f"{given['path']} has {len(lines)} lines, and you asked for {first} to {last}")
    chosen = lines[first - 1 : last]
    if given.get("numbers"):
        chosen = [f"{number} {line}" for number, line in enumerate(chosen, first)]
    return "\n".join(chosen) or ("the line is empty" if chosen else "the file is empty")


def _search(folder: Folder, wanted: str) -> str:
    if not wanted.strip() or "\n" in wanted:
        raise Refused("search takes a text that stands on one line")
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, text in folder.texts().items()
        for number, line in enumerate(_lines(text), 1)
        if wanted in line
    ]
    more = f"\nand {len(found) - _MOST_FOUND} more lines" if len(found) > _MOST_FOUND else ""
    return "\n".join(found[:_MOST_FOUND]) + more if found else f"no line holds {wanted[:80]!r}"


def _replace(folder: Folder, given: dict[str, Any]) -> str:
    path, first, last = given["path"], given["first"], given["last"]
    text = folder.read(path)
    lines = text.split("\n")
    count = _count(text)
    if not first - 1 <= last <= count or first > count + 1:
        raise Refused(f"{path} has {count} lines, and you named {first} to {last}")
    new = given["text"].removesuffix("\n").split("\n") if given["text"] else []
    if lines[0].endswith("\r"):  # as the file's own lines end
        new = [line.removesuffix("\r") + "\r" for line in new]
    lines[first - 1 : last] = new
    folder.write(path, "\n".join(lines))
    return f"changed lines {first} to {last} of {path}"
