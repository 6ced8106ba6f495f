"""Harmony's tokens back to messages, and what the model did last.

Read from ids, so that no text can forge a call; and never by exception: what is no legal message is Malformed, with a
reason to count and to answer by.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

from nbcore.chat import harmony_header, typescript
from nbcore.chat import tools as offered
from nbcore.chat.actions import Action, Final, Malformed, Parsed, Preamble, Truncated, call_message, called
from nbcore.chat.harmony_header import Broken, Header
from nbcore.chat.harmony_tokens import control, decode

# Whose message may come after one of these; what an assistant's is followed by depends on how it ended.
_FIRST = frozenset({"system", "developer", "user", "assistant"})
_FOLLOWS = {
    "system": _FIRST,
    "developer": _FIRST,
    "user": frozenset({"assistant"}),
    "tool": frozenset({"tool", "assistant", "user"}),
    "call": frozenset({"tool", "assistant", "user"}),
    "draft": frozenset({"assistant"}),
    "final": frozenset({"user"}),
}


def parse(tokenizer: Any, ids: Iterable[int], tools: list[dict] | None = None) -> Parsed:
    """(messages, action) of token ids: what a model emitted after the prompt's <|start|>assistant, with the results of
    tools in between if there are any, or a whole conversation from its first <|start|> on.

    Raises ValueError for tools that are none, and for a vocabulary without Harmony's tokens; never for ids.
    """
    stream = Stream(tokenizer, tools)
    for id_ in ids:
        stream.take(id_)
    return stream.parsed()


class Stream:
    """The parser, token by token: `process` each id as it is sampled, and read `parsed` whenever it is wanted."""

    def __init__(self, tokenizer: Any, tools: list[dict] | None = None):
        """Raises ValueError as `parse` does."""
        self.tokenizer = tokenizer
        self.functions = offered.functions(tools)
        self.ids: list[int] = []
        self.messages: list[dict[str, Any]] = []
        """The messages that are complete."""
        self.stopped = False
        """Whether a stop token ended the last action, so that nothing is left to sample."""
        self._control = control(tokenizer)
        self._ends = {self._control.end: "end", self._control.return_: "return", self._control.call: "call"}
        self._size = len(tokenizer)
        self._read = self._first  # what takes the next token
        self._whole = False  # a conversation from its beginning, not what follows a prompt
        self._prompted = True  # the header in hand begins in the prompt
        self._sections: dict[str, list[int]] = {}  # of the header in hand: role, channel, constrain
        self._header: Header | None = None  # of the message whose content is being written
        self._content: list[int] = []
        self._told = 0  # how many of the content's tokens `process` has given as text
        self._drafts: dict[str, list[str]] = {"thinking": [], "preamble": []}
        self._may_follow = _FIRST
        self._waiting: list[str] = []  # the functions that were called and have no result yet
        self._action: Action = Truncated()

    @property
    def channel(self) -> str:
        """The channel of the message whose content is being written; empty where there is none."""
        return self._header.channel if self._header else ""

    @property
    def recipient(self) -> str:
        """Whom that message calls, as "functions.read_file"; empty in what is no call."""
        return self._header.recipient if self._header else ""

    @property
    def content(self) -> str:
        """The text of that message so far."""
        return decode(self.tokenizer, self._content) if self._header else ""

    def process(self, id_: int) -> str:
        """Takes the next token. Returns the text by which the content of a message grew: whole characters only."""
        inside = self._header is not None
        self.take(id_)
        if not inside:
            return ""
        grown = decode(self.tokenizer, self._content[self._told :])
        if self._header and grown.endswith("\ufffd"):  # perhaps a character of several tokens, which is not whole yet
            return ""
        self._told = len(self._content)
        return grown

    def take(self, id_: int) -> None:
        """Takes the next token, as `process` does, where nobody watches the text grow."""
        try:
            id_ = operator.index(id_)
        except TypeError:
            id_ = -1
        try:
            if self._read != self._after_break and not 0 <= id_ < self._size:
                raise Broken(f"token {id_} is not in the vocabulary")
            self.ids.append(id_)
            self._read(id_)
        except Broken as error:
            self._action, self._header = Malformed(str(error), decode(self.tokenizer, self.ids)), None
            self._read = self._after_break

    def parsed(self) -> Parsed:
        """What the tokens so far say."""
        thinking, preamble = self._drafted()
        messages = list(self.messages)
        if thinking or preamble:  # what the assistant wrote of an action that is not over
            draft = {"role": "assistant", "content": preamble}
            messages.append(draft | ({"thinking": thinking} if thinking else {}))
        return Parsed(messages, Truncated(self.content) if self._header else self._action)

    # --- what takes the next token ----------------------------------------------------------------------------

    def _first(self, id_: int) -> None:
        self._open()
        if id_ == self._control.start:
            self._whole, self._prompted = True, False
        else:
            self._in_header(id_)

    def _in_header(self, id_: int) -> None:
        sections = {self._control.channel: "channel", self._control.constrain: "constrain"}
        if id_ == self._control.message:
            self._begin_content()
        elif id_ in sections:
            if sections[id_] in self._sections or "constrain" in self._sections:
                raise Broken(f"<|{sections[id_]}|> out of place in a header")
            self._sections[sections[id_]] = []
        elif id_ in self._control.forbidden:
            raise Broken(f"{self._shown(id_)} in a header")
        else:
            self._sections[list(self._sections)[-1]].append(id_)

    def _in_content(self, id_: int) -> None:
        if id_ in self._ends:
            self._close(self._ends[id_])
        elif id_ in self._control.forbidden:
            raise Broken(f"{self._shown(id_)} in the text of a message")
        else:
            self._content.append(id_)

    def _between(self, id_: int) -> None:
        if id_ == self._control.start:
            self._open()
        elif self.stopped:
            self._read = self._behind_stop
            self._behind_stop(id_)
        else:
            raise Broken(f"{self._shown(id_)} where <|start|> must come, after the end of a message")

    def _behind_stop(self, id_: int) -> None:
        if id_ not in self._control.padding and id_ != self.ids[-2]:  # a batch fills up with either
            raise Broken(f"{self._shown(id_)} behind the stop token")

    def _after_break(self, id_: int) -> None:
        """What follows is not looked at."""

    # --- messages -----------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._read, self._sections, self._action = self._in_header, {"role": []}, Truncated()
        self.stopped = False

    def _begin_content(self) -> None:
        sections = {name: decode(self.tokenizer, ids) for name, ids in self._sections.items()}
        header = harmony_header.read(sections, self._prompted)
        if header.role not in self._may_follow:
            raise Broken(f"a message of the {header.role} out of turn")
        self._header, self._prompted, self._read = header, False, self._in_content
        self._content, self._told = [], 0

    def _close(self, end: str) -> None:
        header, text = self._header, self.content
        self._header, self._read = None, self._between
        if header.role != "assistant":
            if end != "end":
                raise Broken(f"a message of the {header.role} that ends in <|{end}|>")
            self._spoken_by_others(header, text)
            return
        self.stopped = end != "end"
        if header.recipient:
            if end != "call":
                raise Broken(f"a call that ends in <|{end}|>; it ends in <|call|>")
            self._called(header, text)
        elif end == "call":
            raise Broken("<|call|> without a recipient")
        elif header.channel == "final":
            self._answered(text)
        else:
            self._drafted_more(header.channel, text)

    def _called(self, header: Header, text: str) -> None:
        name = header.recipient.removeprefix(harmony_header.SPACE)
        thinking, preamble = self._drafted()
        self._add(call_message(name, text) | {"content": preamble}, thinking)
        self._may_follow = _FOLLOWS["call"]
        self._waiting.append(name)
        if not header.recipient.startswith(harmony_header.SPACE):
            self._action = Malformed(f"{header.recipient[:80]!r} is no function; write functions.NAME", text)
            return
        takes_text = name in self.functions and self.functions[name].takes_text
        if header.kind not in ("", "text" if takes_text else "json"):
            wanted = "plain text" if takes_text else "json"
            self._action = Malformed(f"{name[:80]!r} takes {wanted}, not {header.kind[:40]!r}", text)
            return
        self._action = called(self.functions, name, text)

    def _answered(self, text: str) -> None:
        thinking, preamble = self._drafted()
        message = {"role": "assistant", "content": text}
        self._add(message | ({"preamble": preamble} if preamble else {}), thinking)
        # In stored history an answer ends in <|end|>; a model whose answer ends so has not stopped, and speaks on.
        self._may_follow = _FOLLOWS["final"] if self._whole or self.stopped else frozenset()
        self._action = Final(text)

    def _drafted_more(self, channel: str, text: str) -> None:
        self._drafts["thinking" if channel == "analysis" else "preamble"].append(text)
        self._may_follow = _FOLLOWS["draft"]
        self._action = Truncated()
        if channel == "commentary":
            self._action = Preamble(text)
        elif self.stopped:
            self._action = Malformed("reasoning that ends in <|return|>, and no answer", text)

    def _spoken_by_others(self, header: Header, text: str) -> None:
        self._may_follow, self._action = _FOLLOWS[header.role], Truncated()
        if header.role == "tool":
            if header.name not in self._waiting:
                raise Broken(f"a result of {header.name[:80]!r}, which no call waits for")
            self._waiting.remove(header.name)
            self.messages.append({"role": "tool", "name": header.name, "content": text})
        elif header.role == "user":
            self._waiting.clear()
            self.messages.append({"role": "user", "content": text})
        elif header.role == "developer" and (told := typescript.instructions(text, self.functions)) is not None:
            self.messages.append({"role": "system", "content": told})

    def _add(self, message: dict[str, Any], thinking: str) -> None:
        self.messages.append(message | ({"thinking": thinking} if thinking else {}))
        self._drafts = {"thinking": [], "preamble": []}

    def _drafted(self) -> tuple[str, str]:
        """(thinking, preamble) of the action in hand."""
        return "\n\n".join(self._drafts["thinking"]), "\n\n".join(self._drafts["preamble"])

    def _shown(self, id_: int) -> str:
        return repr(decode(self.tokenizer, [id_]))
