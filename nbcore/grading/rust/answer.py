"""From a completion to the program that a reader would take out of it. docs/grader.md tells the rule."""

from __future__ import annotations

import re

from nbcore.grading.rust import joining
from nbcore.grading.rust.blocks import RUST, blocks
from nbcore.grading.rust.forms import markdown
from nbcore.grading.rust.lexer import blank

_THOUGHT = r"(?:seed:)?(?:think(?:ing)?|thoughts?|reasoning|reflection|scratchpad|analysis)"
# What begins reasoning, at the edge of a line; what ends it; what ends it where the prompt began it.
_MARKS = [
    (re.compile(rf"(?m:^[ \t>]*){begin}"), re.compile(end), re.compile(rf"(?m:^[ \t]*{end}|{end}[ \t\r]*$)"))
    for begin, end in (
        (rf"<{_THOUGHT}>", rf"</{_THOUGHT}>"),
        (r"\[THINK\]", r"\[/THINK\]"),
        (r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),
        (r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),
    )
]
_FINAL = re.compile(r"<\|channel\|>\s*final\b[^<\n]*<\|message\|>")
_HARMONY = re.compile(r"\s*(?:<\|start\|>\s*assistant\s*)?<\|channel\|>")
_ENDS = "end|eo[tms]|stop|return|start|user|assistant|system"  # in the name of a token that ends a turn, or begins one
_CONTROL = re.compile(
    rf"<[|｜][^<>|｜\n]{{0,30}}(?:{_ENDS})[^<>|｜\n]{{0,30}}[|｜]>|</s>|(?<![\w:])<(?:eos|end_of_turn|start_of_turn)>"
)
_BEGIN = re.compile(r"\A\s*(?:<s>|<bos>)")
_ROLE = re.compile(r"\A\s*(?:assistant|model)\s*\n")
# A model without a chat's tokens goes on to ask itself the next question, and answers that.
_ASKS = re.compile(r"^(?:(?:User|Human):|#{1,6} *(?:Instruction|User|Human)\b)", re.MULTILINE)
_REPLIES = re.compile(r"^(?:(?:Assistant|AI):|#{1,6} *(?:Response|Assistant)\b)", re.MULTILINE)
_TAGS = re.compile(r"(?m:^[ \t]*<answer>)(?=\S)|(?<=\S)(?=</answer>[ \t\r]*$)", re.MULTILINE)
_HEADER = re.compile(r"\s*(?:assistant|model|user|system)?\s*")
_SIGN = re.compile(r"[()\[\]{;]")
_NOTHING = re.compile(r"\{\s*(?:(?:todo|unimplemented)\s?!\s*[(\[{]\s*[)\]}]\s*;?|\.\.\.|…)?\s*\}")


def extract(completion: str, signature: str | None = None, tests: str = "") -> str | None:
    """The program in a completion; None where it has none.

    Without reasoning, it is the last block of Rust that defines what was asked, with a body that is not cut off, joined
    with what it needs of other blocks. What was asked is the last function of `signature`, or, without one, what
    `tests` call. Where no block defines that, the first one counts, for the compiler to refuse. A bare body is never
    completed.
    """
    answer = markdown(final(completion))
    found = blocks(answer)
    rust = [block.text for block in found if block.tag in RUST] or [block.text for block in found]
    if not rust:
        return None
    name = target(signature)
    names = {name} if name else _called(tests)
    texts = [blank(code) for code in rust]
    defining = [index for index, text in enumerate(texts) if any(_heads(text, name) for name in names)]
    written = [index for index in defining if any(_has_body(texts[index], name) for name in names)]
    chosen = (written or defining or [0])[-1]
    cut = texts[-1].count("{") > texts[-1].count("}") and answer.rstrip().endswith(rust[-1].split()[-1])
    if cut and len(written) > 1 and chosen == len(rust) - 1:  # the same again, cut off by the end of the answer
        rust, chosen = rust[:-1], written[-2]
    return joining.join(rust, chosen) if defining else rust[chosen]


def final(completion: str) -> str:
    """A completion without reasoning, and without what stands behind the token that ends its turn."""
    text = completion
    if _HARMONY.match(text):
        text = _FINAL.split(text)[-1]
        if text == completion:
            return ""  # only thoughts, or a call of a tool
    for begin, end, lone_end in _MARKS:
        text = _without(text, begin, end, lone_end)
    text = _TAGS.sub(lambda tag: f"{tag[0]}\n", _turn(text))
    first = re.search(r"\bfn\b", text)
    asked = _ASKS.search(text, first.end()) if first else None
    return text[: asked.start()] if asked and _REPLIES.search(text, asked.end()) else text


def target(signature: str | None) -> str | None:
    """Name of the function a task asks for: the last one in its signature."""
    names = re.findall(r"\bfn\s+(\w+)", blank(signature or ""))
    return names[-1] if names else None


def defines(code: str, name: str) -> bool:
    """Whether `code` has a function of that name outside comments and strings."""
    return bool(_heads(blank(code), name))


def _heads(text: str, name: str) -> list[int]:
    """Where the parameters begin of each function of that name; `text` is blanked."""
    return [head.end() for head in re.finditer(rf"\bfn\s+{re.escape(name)}\s*(?=[<(])", text)]


def _called(tests: str) -> set[str]:
    """The functions that tests call and do not define."""
    text = blank(tests)
    return set(re.findall(r"\b(\w+)\s*\(", text)) - set(re.findall(r"\bfn\s+(\w+)", text))


def _has_body(text: str, name: str) -> bool:
    """Whether a function of that name has a body that is more than todo!(); `text` is blanked."""
    read = 0  # so far: what looks like a head among the parameters of another is none
    for head in _heads(text, name):
        if head < read:
            continue
        depth = 0
        for sign in _SIGN.finditer(text, head):
            read = sign.end()
            depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(sign[0], 0)
            if sign[0] in "{;" and depth == 0:
                if sign[0] == "{" and not _NOTHING.match(text, sign.start()):
                    return True
                break
    return False


def _without(text: str, begin: re.Pattern[str], end: re.Pattern[str], lone_end: re.Pattern[str]) -> str:
    """`text` without what stands between these marks. One that is begun and not ended goes on to the end."""
    parts, at = [], 0
    while (opened := begin.search(text, at)) and (closed := end.search(text, opened.end())):
        parts.append(text[at : opened.start()])
        at = closed.end()
    text = "".join(parts) + text[at:]
    ends = [mark.end() for mark in lone_end.finditer(text)]
    text = text[ends[-1] :] if ends else text
    opened = begin.search(text)
    return text[: opened.start()] if opened else text


def _turn(text: str) -> str:
    """Up to the first control token that has more than a header before it; in a string a token is text."""
    text, begin, seen, quotes = _BEGIN.sub("", text), 0, 0, 0
    for token in _CONTROL.finditer(text):
        between = text[seen : token.start()]
        line = between.rpartition("\n")
        quotes = line[2].count('"') + (0 if line[1] else quotes)
        seen = token.start()
        if quotes % 2:
            continue
        if not _HEADER.fullmatch(text, begin, seen):
            return text[begin:seen]
        begin = token.end()
    return _ROLE.sub("", text[begin:]) if begin else text
