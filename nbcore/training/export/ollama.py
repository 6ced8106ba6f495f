"""The Modelfile of an export: from which file, in which chat format, where an answer ends, how long the context is.

Ollama writes chats through a Go template. Ours is read off the model's own: a known conversation is rendered, and what
stands around its parts is what the Go template writes around them.
"""

from __future__ import annotations

from typing import Any

from nbcore.chat.frame import rendered

SYSTEM, FIRST, ANSWER, SECOND = "nbcore-system", "nbcore-first", "nbcore-answer", "nbcore-second"


def modelfile(gguf_name: str, tokenizer: Any, stops: list[int], context: int) -> str:
    """The text of a Modelfile. Raises ValueError where the chat format cannot be written as one."""
    lines = [f"FROM ./{gguf_name}", f'TEMPLATE """{go_template(tokenizer)}"""']
    lines += [f"PARAMETER stop {_quoted(token)}" for token in tokenizer.convert_ids_to_tokens(stops)]
    lines.append(f"PARAMETER num_ctx {context}")
    return "\n".join(lines) + "\n"


def go_template(tokenizer: Any) -> str:
    """The chat format as a Go template: the parts of a chat, and what the model's template writes around them."""
    chat = [
        {"role": "user", "content": FIRST},
        {"role": "assistant", "content": ANSWER},
        {"role": "user", "content": SECOND},
    ]
    begin, middle, between, end = _around(tokenizer, chat, (FIRST, ANSWER, SECOND))
    try:
        opening, after, *_ = _around(
            tokenizer, [{"role": "system", "content": SYSTEM}, *chat], (SYSTEM, FIRST, ANSWER, SECOND)
        )
        system = f"{{{{ if .System }}}}{opening}{{{{ .System }}}}{after}{{{{ else }}}}{begin}{{{{ end }}}}"
    except ValueError:
        system = begin  # a format without system messages
    return (
        f"{system}{{{{ range .Messages }}}}"
        '{{ if eq .Role "user" }}{{ .Content }}'
        f'{{{{ else if eq .Role "assistant" }}}}{middle}{{{{ .Content }}}}{between}{{{{ end }}}}'
        f"{{{{ end }}}}{end}"
    )


def _around(tokenizer: Any, chat: list[dict], parts: tuple[str, ...]) -> list[str]:
    """What stands before, between and after these parts of a rendered chat."""
    text = rendered(tokenizer, chat, add_generation_prompt=True)
    bos = tokenizer.bos_token
    if bos and text.startswith(bos) and tokenizer.encode("a")[:1] == [tokenizer.bos_token_id]:
        text = text.removeprefix(bos)  # llama.cpp writes it by itself
    pieces = []
    for part in parts:
        before, found, text = text.partition(part)
        if not found:
            raise ValueError(
                f"chat template of {tokenizer.name_or_path!r}: it leaves out a part of a plain conversation"
            )
        pieces.append(_literal(before))
    return [*pieces, _literal(text)]


def _literal(text: str) -> str:
    if '"""' in text:
        raise ValueError('chat template: it writes """, which a Modelfile cannot hold')
    return text.replace("{{", '{{ "{{" }}')


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
