"""From a completion to the Python program that is judged: a continuation of the prompt, or the answer of a chat."""

from __future__ import annotations

import re

_FENCE = re.compile(r"^[ \t]*```[ \t]*(\w*)[ \t]*\n(.*?)^[ \t]*```[ \t]*$", re.MULTILINE | re.DOTALL)
_OPEN = re.compile(r"^[ \t]*```[ \t]*(?:python|py)?[ \t]*\n(.*)\Z", re.MULTILINE | re.DOTALL)


def program_of(prompt: str, completion: str, entry: str) -> str:
    """The program of a completion.

    In fences it is the last block that defines the function `entry`, behind whatever stands above that function in the
    prompt (imports, helpers); without fences the completion goes on from the prompt.
    """
    blocks = [text for tag, text in _FENCE.findall(completion) if tag.lower() in ("", "python", "py", "python3")]
    if not blocks and (opened := _OPEN.search(completion)):  # cut off before its fence was closed
        blocks = [opened[1]]
    if not blocks:
        return prompt + completion
    head = re.compile(rf"^(?:async )?def {re.escape(entry)}\b", re.MULTILINE)
    defining = [text for text in blocks if head.search(text)]
    if not defining:
        return prompt + blocks[-1]
    above = head.search(prompt)
    return (prompt[: above.start()] if above else "") + defining[-1]
