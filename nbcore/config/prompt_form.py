"""How a task is put to a model: two shipped prompt forms, by name, or a template of one's own with named fields."""

from __future__ import annotations

from string import Formatter
from typing import Annotated, Any

from pydantic import BeforeValidator

BARE = "{prompt}"

CHAT = """\
Write a function in {language}.

{prompt}

It must have exactly this signature:
```rust
{signature}
```

Answer with the complete function and the imports it needs, and nothing else, in one ```rust block."""

PYTHON = """\
Complete this function in Python.

```python
{prompt}
```

Answer with the complete function and the imports it needs, and nothing else, in one ```python block."""
COMPLETE = "complete"  # no conversation: the text that a base model goes on from

SHIPPED = {"bare": BARE, "chat": CHAT}
FIELDS = ("prompt", "signature", "language")
KNOWN = ", ".join(f"{{{name}}}" for name in FIELDS)
LITERAL = "a brace that belongs to the text is written twice"


def check(form: Any) -> Any:
    """The form as it was given: a name of a shipped one, a template, or None. Raises ValueError with the remedy."""
    if isinstance(form, dict):
        raise ValueError("YAML reads text in braces as a mapping; quote it, or write it on lines of its own after |-")
    if not isinstance(form, str) or form in SHIPPED:
        return form
    try:
        parts = list(Formatter().parse(form))
    except ValueError as error:
        raise ValueError(f"{error}; {LITERAL}") from None
    for _, name, layout, conversion in parts:
        if name is not None and name not in FIELDS:
            raise ValueError(f"unknown field {{{name}}}; known: {KNOWN}; {LITERAL}")
        if layout or conversion:
            raise ValueError(f"{{{name}}} takes nothing behind its name; write it alone: known are {KNOWN}")
    if "prompt" not in _names(form):
        raise ValueError(
            f"it has no {{prompt}}: write a template with {KNOWN}, or name a shipped form: {', '.join(SHIPPED)}"
        )
    return form


PromptForm = Annotated[str | None, BeforeValidator(check)]


def fill(form: str, prompt: str, signature: str, language: str = "Rust") -> str:
    """The text that asks for a task's function: a template, or a shipped one by its name, with its fields filled in,
    whatever braces stand in them.

    The bare form is the prompt as it is. In any other the ends of prompt and signature are trimmed (a signature may
    end in the brace that opens the body), and a paragraph about the signature is left out where a task has none.
    """
    form = SHIPPED.get(form, form)
    if form == BARE:
        return prompt
    if form == CHAT and language == "Python":
        return PYTHON.format(prompt=prompt.rstrip())
    signature = signature.strip().removesuffix("{").rstrip()
    paragraphs = form.split("\n\n")
    if not signature:
        paragraphs = [text for text in paragraphs if "signature" not in _names(text) or "prompt" in _names(text)]
    values = {"prompt": prompt.strip(), "signature": signature, "language": language}
    return "\n\n".join(paragraph.format(**values) for paragraph in paragraphs)


def _names(form: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(form) if name is not None}
