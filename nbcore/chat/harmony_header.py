"""The headers of Harmony's messages: who speaks, in which channel, and whom a call is for.

Read are all four forms in which a call is written, with or without the spaces between their parts: the recipient in the
channel section or in the role section, the type of the content with or without its control token.
"""

from __future__ import annotations

import re
from typing import NamedTuple

SPACE = "functions."  # what stands before a function's name in a header
_ROLE = re.compile(r"\s*(assistant|system|developer|user)?\s*(?:to=(\S+))?\s*")
_TOOL = re.compile(r"\s*([A-Za-z0-9_.-]+)(?:\s+to=assistant)?\s*")
_OTHERS = re.compile(r"assistant|system|developer|user")  # what begins so is a header that lost a token, and no tool
_CHANNEL = re.compile(r"\s*(analysis|commentary|final)\s*(?:to=(\S+))?(?:\s+(\S+))?\s*")


class Header(NamedTuple):
    """The header of one message."""

    role: str
    """assistant, system, developer, user or tool."""
    name: str = ""
    """Of a tool: which."""
    channel: str = ""
    """Of the assistant: analysis, commentary or final."""
    recipient: str = ""
    """Whom the assistant calls, as "functions.read_file"; empty in what is no call."""
    kind: str = ""
    """The type of the content, such as json."""


class Broken(Exception):
    """What stands there is no Harmony; the message is the reason, in one line."""


def read(sections: dict[str, str], prompted: bool) -> Header:
    """The header of its sections' texts: "role", and "channel" and "constrain" where there are such. `prompted`: the
    prompt has already said that the assistant speaks. Raises Broken."""
    role = _ROLE.fullmatch(sections["role"])
    if role and (role[1] or prompted):
        name, recipient = role[1] or "assistant", role[2] or ""
        if name == "assistant":
            return _assistant(sections, recipient)
        if not prompted and not recipient:
            return Header(name)
    tool = _TOOL.fullmatch(sections["role"])
    if prompted or not tool or _OTHERS.match(tool[1]):
        raise Broken(f"a header that begins with {sections['role'][:60]!r}, where the assistant's must stand")
    return Header("tool", tool[1].removeprefix(SPACE))


def _assistant(sections: dict[str, str], recipient: str) -> Header:
    if "channel" not in sections:
        raise Broken("a message without a channel")
    channel = _CHANNEL.fullmatch(sections["channel"])
    if not channel:
        raise Broken(
            f"a channel section {sections['channel'][:60]!r}; it is analysis, commentary or final, and whom it calls"
        )
    kind = channel[3] or ""
    if recipient and channel[2]:
        raise Broken("two recipients in one header")
    recipient = recipient or channel[2] or ""
    if kind not in ("", "json", "text") and not recipient:  # a word of the text, before its <|message|>
        raise Broken(f"{kind[:60]!r} behind the channel {channel[1]}, where the text must begin")
    if "constrain" in sections:
        constrained = sections["constrain"].strip()
        if kind or len(constrained.split()) > 1:
            raise Broken(f"more than one type of content in a header, {constrained[:60]!r} the last")
        kind = constrained
    if recipient and channel[1] != "commentary":
        raise Broken(f"a call of {recipient[:60]!r} in the channel {channel[1]}; calls go to commentary")
    return Header("assistant", channel=channel[1], recipient=recipient, kind=kind)
