"""Characters that nobody sees, and the control tokens of models: neither may stand in what is trained on."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Marks, embeddings, overrides and isolates of writing direction; characters of no width; the invisible copies of ASCII;
# and control characters that no source file needs. Joiners (U+200C, U+200D) are part of emoji and of several scripts:
# they count only where one side is ASCII or nothing. A byte order mark counts anywhere but at the beginning.
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\uffa0"
    "\ufff9-\ufffb\U000e0000-\U000e007f\x00-\x08\x0b\x0e-\x1f\x7f]"
    "|(?<!^)\ufeff"
    "|(?:^|(?<=[\x00-\x7f]))[\u200c\u200d]|[\u200c\u200d](?:$|(?=[\x00-\x7f]))"
)
_CONTROLS = bytes(code for code in range(128) if INVISIBLE.fullmatch(chr(code)))
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
    return INVISIBLE.search(text) is not None


def control_token(text: str, more: Sequence[str] = ()) -> str | None:
    """The first control token, the usual ones before those in `more`; None where there is none."""
    if any(hint in text for hint in _USUAL_HINTS) and (usual := _USUAL.search(text)):
        return usual[0]
    return next((token for token in more if token in text), None)
