"""Harmony's tokens back to messages, and what the model did last.

Read from ids, so that no text can forge a call; and never by exception: what is no legal message is Malformed, with a
reason to count and to answer by. All four places where a call is written are read: the recipient in the role or the
channel section, the type with or without its control token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from nbcore.chat import tools as offered
from nbcore.chat import typescript
from nbcore.chat.harmony_tokens import control, decode

SPACE = "functions."  # what stands before a function's name in a header
_ROLE = re.compile(r"\s*(assistant|system|developer|user)?\s*(?:to=(\S+))?\s*")
_TOOL = re.compile(r"\s*([A-Za-z0-9_.-]+)(?:\s+to=assistant)?\s*")
_CHANNEL = re.compile(r"\s*(analysis|commentary|final)\s*(?:to=(\S+))?(?:\s+(\S+))?\s*")


@dataclass(frozen=True)
class Call:
    """A function is called, and its arguments fit it."""

    name: str
    arguments: Any
    """A dict; or the text, of a function that takes text."""
    raw: str
    """The arguments as the model wrote them."""


@dataclass(frozen=True)
class Preamble:
    """Words to the user, such as a plan, after which the model goes on."""

    text: str


@dataclass(frozen=True)
class Final:
    """The answer."""

    text: str


@dataclass(frozen=True)
class Truncated:
    """The tokens end before the action does; `text` is what there is of its last message."""

    text: str = ""


@dataclass(frozen=True)
class Malformed:
    """No legal action: nothing was called, and nothing was answered."""

    reason: str
    """What is wrong, in a line that a model or a person can be answered with."""
    text: str = ""
    """What stood there, control tokens spelt out."""


Action = Call | Preamble | Final | Truncated | Malformed


class Parsed(NamedTuple):
    """What ids say."""

    messages: list[dict[str, Any]]
    """In the form of rows. Of an assistant: content, and thinking, tool_calls and preamble where there are any. A
    message that is malformed is not among them."""
    action: Action
    """What the assistant did last."""


class _Header(NamedTuple):
    role: str
    """assistant, system, developer, user or tool."""
    name: str
    """Of a tool: which."""
    channel: str | None
    recipient: str | None
    kind: str | None
    """The type of the content, such as json."""


class _Broken(Exception):
    """The ids are no Harmony; the message is the reason."""


def parse(tokenizer: Any, ids: list[int], tools: list[dict] | None = None) -> Parsed:
    """(messages, action) of token ids: what a model emitted after the prompt's <|start|>assistant, with the results of
    tools in between if there are any, or a whole conversation from its first <|start|> on.

    Raises ValueError for tools that are none, and for a vocabulary without Harmony's tokens; never for ids.
    """
    stream = Stream(tokenizer, tools)
    for id_ in ids:
        stream.process(id_)
    return stream.parsed()


class Stream:
    """The parser, token by token: `process` each id as it is sampled, and read `parsed` whenever it is wanted."""

    def __init__(self, tokenizer: Any, tools: list[dict] | None = None):
        """Raises ValueError as `parse` does."""
        self.tokenizer = tokenizer
        self.functions = offered.functions(tools)
        self.control = control(tokenizer)
        self.ids: list[int] = []
        self.messages: list[dict[str, Any]] = []
        """The messages that are complete."""
        self.stopped = False
        """Whether a stop token ended the last action, so that nothing is left to sample."""
        self._size = len(tokenizer)
        self._whole = False  # a conversation from its beginning, not what follows a prompt
        self._state = "begin"  # then: header, content, between, padding, broken
        self._sections: dict[str, list[int]] = {}  # of the header: role, channel, constrain
        self._section = "role"
        self._header: _Header | None = None
        self._content: list[int] = []
        self._told = 0  # how many of the content's tokens `process` has given as text
        self._drafts: dict[str, list[str]] = {"thinking": [], "preamble": []}
        self._action: Action = Truncated()
        self._finished = True  # the last message, if an assistant's, ended its action
        self._answered = False  # it was a final one

    @property
    def channel(self) -> str | None:
        """The channel of the message whose content is being written."""
        return self._header.channel if self._state == "content" else None

    @property
    def recipient(self) -> str | None:
        """Whom that message calls, as "functions.read_file"."""
        return self._header.recipient if self._state == "content" else None

    @property
    def content(self) -> str:
        """The text of that message so far."""
        return decode(self.tokenizer, self._content) if self._state == "content" else ""

    def process(self, id_: int) -> str:
        """Takes the next token. Returns the text by which the content of a message grew: whole characters only."""
        self.ids.append(id_)
        if self._state == "broken":
            return ""
        try:
            if not isinstance(id_, int) or not 0 <= id_ < self._size:
                self.ids[-1] = 0  # there is no text of it
                raise _Broken(f"token {id_!r} is not in the vocabulary")
            return getattr(self, f"_{self._state}_token")(id_)
        except _Broken as error:
            self._action = Malformed(str(error), decode(self.tokenizer, self.ids))
            self._state = "broken"
            return ""

    def parsed(self) -> Parsed:
        """What the tokens so far say."""
        if self._state in ("begin", "header"):
            return Parsed(self._with_drafts(), Truncated())
        if self._state == "content":
            return Parsed(self._with_drafts(), Truncated(self.content))
        return Parsed(self._with_drafts(), self._action)

    # --- states ---------------------------------------------------------------------------------------------

    def _begin_token(self, id_: int) -> str:
        self._open()
        if id_ == self.control.start:
            self._whole = True
            return ""
        return self._header_token(id_)

    def _between_token(self, id_: int) -> str:
        if id_ == self.control.start:
            self._open()
            self.stopped = False
            return ""
        if self.stopped and (id_ in self.control.padding or id_ == self.ids[-2]):
            self._state = "padding"
            return ""
        raise _Broken(f"{self._shown(id_)} where <|start|> must come, after the end of a message")

    def _padding_token(self, id_: int) -> str:
        if id_ not in self.control.padding and id_ != self.ids[-2]:
            raise _Broken(f"{self._shown(id_)} behind the stop token")
        return ""

    def _header_token(self, id_: int) -> str:
        if id_ == self.control.message:
            self._header = self._read_header()
            self._state, self._content, self._told = "content", [], 0
        elif id_ in (self.control.channel, self.control.constrain):
            section = "channel" if id_ == self.control.channel else "constrain"
            if section in self._sections or "constrain" in self._sections:
                raise _Broken(f"<|{section}|> out of place in a header")
            self._sections[section], self._section = [], section
        elif id_ in self.control.forbidden:
            raise _Broken(f"{self._shown(id_)} in a header")
        else:
            self._sections[self._section].append(id_)
        return ""

    def _content_token(self, id_: int) -> str:
        ends = {self.control.end: "end", self.control.return_: "return", self.control.call: "call"}
        if id_ in ends:
            text = decode(self.tokenizer, self._content)
            rest = decode(self.tokenizer, self._content[self._told :])
            self._close(text, ends[id_])
            return rest
        if id_ in self.control.forbidden:
            raise _Broken(f"{self._shown(id_)} in the text of a message")
        self._content.append(id_)
        grown = decode(self.tokenizer, self._content[self._told :])
        if grown.endswith("\ufffd"):  # a character of several tokens, which is not whole yet
            return ""
        self._told = len(self._content)
        return grown

    # --- headers --------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._state, self._sections, self._section = "header", {"role": []}, "role"

    def _read_header(self) -> _Header:
        first = not self.messages and self._finished and not any(self._drafts.values())
        prompted = first and not self._whole  # the prompt has written <|start|>assistant
        role_text = decode(self.tokenizer, self._sections["role"])
        role = _ROLE.fullmatch(role_text)
        if not role or not (role[1] or prompted):
            tool = _TOOL.fullmatch(role_text)
            if prompted or not tool:
                raise _Broken(f"a header that begins with {role_text[:60]!r}, which is no role")
            self._refuse_turn("tool")
            return _Header("tool", tool[1].removeprefix(SPACE), None, None, None)
        name, recipient = role[1] or "assistant", role[2]
        if prompted and name != "assistant":
            raise _Broken(f"a message of the {name} where the assistant's must come")
        if name != "assistant":
            self._refuse_turn(name)
            return _Header(name, "", None, None, None)
        if self._answered and not (self.stopped and self._whole):
            raise _Broken("a message behind the final one")
        if "channel" not in self._sections:
            raise _Broken("a message without a channel")
        return self._assistant(recipient)

    def _assistant(self, recipient: str | None) -> _Header:
        text = decode(self.tokenizer, self._sections["channel"])
        channel = _CHANNEL.fullmatch(text)
        if not channel:
            raise _Broken(f"a channel section {text[:60]!r}; it is analysis, commentary or final, and whom it calls")
        kind = channel[3]
        if recipient and channel[2]:
            raise _Broken("two recipients in one header")
        if "constrain" in self._sections:
            constrained = decode(self.tokenizer, self._sections["constrain"]).strip()
            if kind or len(constrained.split()) > 1:
                raise _Broken(f"two types of content in one header, {f'{kind or ""} {constrained}'.strip()[:60]!r}")
            kind = constrained
        recipient = recipient or channel[2]
        if recipient and channel[1] != "commentary":
            raise _Broken(f"a call of {recipient[:60]!r} in the channel {channel[1]}; calls go to commentary")
        return _Header("assistant", "", channel[1], recipient, kind)

    def _refuse_turn(self, role: str) -> None:
        """Raises _Broken where somebody else than the assistant speaks within the assistant's action."""
        after_answer = self._answered and (self._whole or self.stopped)
        if not self._finished or (self._answered and not after_answer):
            raise _Broken(f"a message of the {role} within an action of the assistant")
        if role == "tool" and not (self.messages and self.messages[-1]["role"] in ("assistant", "tool")):
            raise _Broken("a result that no call came before")

    # --- messages -------------------------------------------------------------------------------------------

    def _close(self, text: str, end: str) -> None:
        header = self._header
        self._state = "between"
        if header.role != "assistant":
            if end != "end":
                raise _Broken(f"a message of the {header.role} that ends in <|{end}|>")
            self._other(header, text)
            return
        self.stopped = end != "end"
        if header.recipient:
            if end != "call":
                raise _Broken(f"a call that ends in <|{end}|>; it ends in <|call|>")
            self._called(header, text)
        elif end == "call":
            raise _Broken("<|call|> without a recipient")
        elif header.channel == "final":
            self._add({"content": text})
            self._answered, self._action = True, Final(text)
        else:
            field = "thinking" if header.channel == "analysis" else "preamble"
            self._drafts[field].append(text)
            self._finished = False
            self._action = Preamble(text) if field == "preamble" else Truncated()
            if self.stopped and field == "thinking":
                self._action = Malformed("reasoning ends in <|return|>, and no answer came", text)

    def _called(self, header: _Header, text: str) -> None:
        name = header.recipient.removeprefix(SPACE)
        self._add({"content": "", "tool_calls": [{"type": "function", "function": {"name": name, "arguments": text}}]})
        function = self.functions.get(name)
        if not header.recipient.startswith(SPACE) or function is None:
            known = ", ".join(SPACE + other for other in self.functions) or "none"
            self._action = Malformed(f"{header.recipient[:80]!r} is no function; there are {known}", text)
            return
        kinds = ("", "text") if function.takes_text else ("", "json")
        if (header.kind or "") not in kinds:
            wants = "plain text" if function.takes_text else "json"
            self._action = Malformed(f"{name} takes {wants}, not {header.kind[:40]!r}", text)
            return
        try:
            self._action = Call(name, offered.arguments(function, text), text)
        except offered.BadArguments as error:
            self._action = Malformed(str(error), text)

    def _add(self, message: dict[str, Any]) -> None:
        """Adds the assistant's message that ends an action, with what was written on the way to it."""
        thinking, preamble = ("\n\n".join(self._drafts[field]) for field in ("thinking", "preamble"))
        made = {"role": "assistant", **message}
        if thinking:
            made["thinking"] = thinking
        if preamble:
            made["content" if "tool_calls" in message else "preamble"] = preamble
        self.messages.append(made)
        self._drafts = {"thinking": [], "preamble": []}
        self._finished, self._answered = True, False

    def _other(self, header: _Header, text: str) -> None:
        self._finished, self._answered, self.stopped, self._action = True, False, False, Truncated()
        if header.role == "tool":
            self.messages.append({"role": "tool", "name": header.name, "content": text})
        elif header.role == "user":
            self.messages.append({"role": "user", "content": text})
        elif header.role == "developer" and (instructions := self._instructions(text)) is not None:
            self.messages.append({"role": "system", "content": instructions})

    def _instructions(self, text: str) -> str | None:
        """The developer's instructions in a developer message; None where it has only tools."""
        if self.functions:
            shown = typescript.section(self.functions.values())
            if text == shown:
                return None
            text = text.removesuffix(f"\n\n{shown}")
        return text.removeprefix("# Instructions\n\n")

    def _with_drafts(self) -> list[dict[str, Any]]:
        """The messages, and as one more what the assistant wrote of an action that is not over."""
        thinking, preamble = ("\n\n".join(self._drafts[field]) for field in ("thinking", "preamble"))
        if not thinking and not preamble:
            return list(self.messages)
        draft = {"role": "assistant", "content": preamble}
        return [*self.messages, draft | ({"thinking": thinking} if thinking else {})]

    def _shown(self, id_: int) -> str:
        return repr(decode(self.tokenizer, [id_]))


