"""Characters that nobody sees, and the control tokens of models: neither may stand in what is trained on."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Marks, embeddings, overrides and isolates of writing direction; characters of no width; the invisible copies of ASCII;
# and control characters that no source file needs.
_RANGES = (
    (0x00, 0x08), (0x0B, 0x0B), (0x0E, 0x1F), (0x7F, 0x7F), (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C),
    (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180E, 0x180E), (0x200B, 0x200B), (0x200E, 0x200F), (0x202A, 0x202E),
    (0x2060, 0x206F), (0x3164, 0x3164), (0xFFA0, 0xFFA0), (0xFFF9, 0xFFFB), (0xE0000, 0xE007F),
)  # fmt: skip
_NEVER = "".join(chr(code) for first, last in _RANGES for code in range(first, last + 1))
# Joiners (U+200C, U+200D) are part of emoji and of several scripts: they count only where one side is ASCII or nothing.
# A byte order mark counts anywhere but at the beginning.
INVISIBLE = re.compile(
    f"[{re.escape(_NEVER)}]|(?<!^)\ufeff|(?:^|(?<=[\x00-\x7f]))[\u200c\u200d]|[\u200c\u200d](?:$|(?=[\x00-\x7f]))"
)
_SUSPECTS = frozenset(_NEVER + "\ufeff\u200c\u200d")
_CONTROLS = "".join(filter(str.isascii, _NEVER)).encode()
_USUAL = re.compile(
    # <|im_start|>, <|endoftext|>, <|fim_prefix|>; DeepSeek's with its wide bars. Not <|>, a cursor in tests.
    r"<[|\uff5c][A-Za-z_0-9][A-Za-z_0-9 .:\u2581-]{0,60}[|\uff5c]>"
    r"|</?(?:fim_(?:prefix|middle|suffix|pad)|file_sep|gh_stars|start_of_turn|end_of_turn|end_of_text)>"
    r"|</?(?:think|tool_call|tool_response|tool_calls)>"
    r"|(?<![\w>:])</?(?:s|bos|eos|unk|pad)>"  # not the parameter of a generic type
    r"|(?<![\w)\]&])\[/?INST\]|<</?SYS>>|\[/?AVAILABLE_TOOLS\]|\[TOOL_CALLS\]"
)
_USUAL_HINTS = (  # one of them stands in whatever _USUAL finds, and looking for them is much faster
    "<|", "<\uff5c", "fim_", "<file_sep>", "<gh_stars>", "_of_turn>", "end_of_text>", "think>", "<tool_", "</tool_",
    "<s>", "</s>", "bos>", "eos>", "unk>", "pad>", "INST]", "SYS>>", "_TOOLS]", "[TOOL_CALLS]",
)  # fmt: skip


def stripped(text: str) -> str:
    """The text without invisible characters, and without a byte order mark."""
    before = None
    while before != text:  # of two joiners side by side, the second counts once the first is gone
        before, text = text, INVISIBLE.sub("", text.removeprefix("\ufeff"))
    return text


def invisible(text: str) -> bool:
    """Whether there is one, a byte order mark at the beginning aside."""
    if text.isascii():
        raw = text.encode()
        return len(raw.translate(None, _CONTROLS)) < len(raw)
    return not _SUSPECTS.isdisjoint(text) and INVISIBLE.search(text) is not None


def control_token(text: str, more: Sequence[str] = ()) -> str | None:
    """The first control token, the usual ones before those in `more`; None where there is none."""
    if any(hint in text for hint in _USUAL_HINTS) and (usual := _USUAL.search(text)):
        return usual[0]
    return next((token for token in more if token in text), None)
