"""What the compiler says, as people read it: each message with its place and the line it is about, of the crate alone.

rustc's own rendering can quote files of the machine, so it is not used; these are the same messages and lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping
from typing import Any

_MOST_NOTES = 4
_MOST_TEXT = 600  # characters of one message
_MISSING = re.compile(r"(?:undefined (?:symbol: |reference to )|unable to find library |cannot find )([^\s:]+)")
_LINKING = "linking failed"
_LEVELS = ("error", "warning", "error: internal compiler error")


def read(stderr: bytes, files: Container[str]) -> list[dict[str, Any]]:
    """The compiler's messages from its JSON lines: {"level", "file", "line", "text"}; `file` and `line` are None where
    it is about none of `files`."""
    found, seen = [], set()
    for row in stderr.split(b"\n"):
        if not row.startswith(b"{"):
            continue
        try:
            message = json.loads(row)
        except ValueError:  # the cut last line of a flood
            continue
        if message.get("$message_type", "diagnostic") != "diagnostic" or message["level"] not in _LEVELS:
            continue
        if not message["spans"] and "aborting due to" in message["message"]:
            continue
        told = _told(message, files)
        if told["text"] not in seen:
            seen.add(told["text"])
            found.append(told)
    return found


def of_linker(message: Mapping[str, Any]) -> bool:
    """Whether a message is the linker's failure, which spells out the folders of this machine."""
    return not message["spans"] and message["message"].startswith("linking with")


def in_a_line(message: Mapping[str, Any]) -> str:
    """The first line of a message, and none of the linker's."""
    return _LINKING if of_linker(message) else (message["message"].splitlines() or [""])[0]


def _told(message: dict[str, Any], files: Container[str]) -> dict[str, Any]:
    code = (message["code"] or {}).get("code")
    if of_linker(message):
        missing = dict.fromkeys(_MISSING.findall(" ".join(child["message"] for child in message["children"])))
        what = f": {', '.join(list(missing)[:_MOST_NOTES])} cannot be found" if missing else ""
        return {"level": "error", "file": None, "line": None, "text": f"error: {_LINKING}{what}"}
    words = message["message"].strip()[:_MOST_TEXT]
    lines = [f"{message['level']}{f'[{code}]' if code else ''}: {words}"]
    own = [span for span in message["spans"] if span["file_name"] in files]
    own.sort(key=lambda span: not span["is_primary"])
    for span in own:
        label = f" <- {span['label']}" if span["label"] else ""
        text = span["text"][0]["text"].strip()[:200] if span["text"] else ""
        lines.append(f"  {span['file_name']}:{span['line_start']}: {text}{label}")
    for child in message["children"][:_MOST_NOTES]:
        lines.append(f"  {child['level']}: {child['message'].strip()[:_MOST_TEXT]}")
        for span in child["spans"]:
            if span.get("suggested_replacement") is not None and span["file_name"] in files:
                put = span["suggested_replacement"].strip()
                lines.append(f"    {span['file_name']}:{span['line_start']}: {put[:200] or '(nothing)'}")
    first = own[0] if own and own[0]["is_primary"] else None
    place = {"file": first["file_name"], "line": first["line_start"]} if first else {"file": None, "line": None}
    return {"level": message["level"], **place, "text": "\n".join(lines)}
