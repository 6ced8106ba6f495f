"""Take secrets out of text before it is shown, logged or copied anywhere."""

from __future__ import annotations

import os
import re

# What the tokens of the services a run meets look like: Hugging Face, GitHub, AWS, Google, OpenAI-like, Weights &
# Biases and JSON web tokens. A prefix alone is no secret; that many characters after it are.
BEGINNING = r"(?:(?<![A-Za-z0-9_])|(?<=\\[nrt]))"  # of a word: in a notebook's JSON it may follow \\n, a line break
TOKENS = re.compile(
    r"hf_[A-Za-z0-9]{20,}"  # unmistakable, so anything may stand before them, as a colour code or %3D
    r"|api_org_[A-Za-z0-9]{20,}"
    r"|gh[pousr]_[A-Za-z0-9]{30,}"
    r"|github_pat_[A-Za-z0-9_]{40,}"
    r"|" + BEGINNING + r"(?:"
    r"A(?:KIA|SIA)[A-Z0-9]{16}\b"
    r"|AIza[A-Za-z0-9_-]{35}"
    r"|ya29\.[A-Za-z0-9_-]{20,}"
    r"|sk-[A-Za-z0-9_-]{20,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"
    r")"
)
SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "GITHUB_TOKEN", "WANDB_API_KEY", "OPENAI_API_KEY")
HIDDEN = "[redacted]"


def redact(text: str) -> str:
    """`text` with every token, and the value of every secret in the environment, replaced by "[redacted]"."""
    for value in (os.environ.get(name, "").strip() for name in SECRETS):  # which is how it is sent
        if len(value) >= 8:
            text = text.replace(value, HIDDEN)
    return TOKENS.sub(HIDDEN, text)
