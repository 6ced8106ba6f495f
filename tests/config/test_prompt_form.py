"""Prompt forms: shipped ones by name, a person's own as a template that is checked when the config is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbcore import config as configs
from nbcore.config import knobs, prompt_form
from nbcore.config.schema import Asking

ASKING = [name for name, entry in configs.TABLE.items() if issubclass(entry.config, Asking)]


def test_every_phase_that_asks_has_a_form():
    """SFT, rollouts and evaluation would otherwise ask the same model in different words."""
    assert ASKING == ["sft", "ipo", "grpo", "evaluate"]
    for phase in ASKING:
        assert configs.load(f"configs/{phase}/small.yaml").prompt_form is None


@pytest.mark.parametrize(
    "form, words",
    [
        ("{prompt} {langauge}", r"unknown field \{langauge\}; known: \{prompt\}, \{signature\}, \{language\}"),
        ("{prompt} {}", r"unknown field \{\}"),
        ("{prompt.upper}", r"unknown field \{prompt.upper\}"),
        ("{prompt[0]}", r"unknown field"),
        ("{0}", r"unknown field \{0\}"),
        ("{prompt!r}", r"takes nothing behind its name"),
        ("{prompt:>10}", r"takes nothing behind its name"),
        ("{prompt:{language}}", r"takes nothing behind its name"),
        ("Write Rust.", r"it has no \{prompt\}.*bare, chat"),
        ("chatt", r"it has no \{prompt\}.*bare, chat"),
        ("{{prompt}}", r"it has no \{prompt\}"),
        ("", r"it has no \{prompt\}"),
        ("fn f() { {prompt}", r"brace.*written twice"),
        ("{prompt} }", r"brace.*written twice"),
        ("{prompt", r"brace.*written twice"),
        (7, r"string"),
        ({"prompt": None}, r"quote it"),
    ],
)
def test_a_wrong_form_is_one_line_when_the_config_is_read(form, words):
    """It would otherwise end in a KeyError in the middle of a run, or ask every task in the same wrong words."""
    for phase in ASKING:
        with pytest.raises(ValueError, match=words) as caught:
            configs.load({"phase": phase, "prompt_form": form})
        assert "prompt_form" in str(caught.value) and "\n" not in str(caught.value)


def test_a_form_can_be_given_everywhere():
    """In the YAML, as an override, and as text on the command line."""
    text = "In {language}:\n{prompt}\n{{one block}}"
    config = configs.load({"phase": "sft", "prompt_form": text})
    assert configs.load(configs.load(config, ["prompt_form=chat"])).prompt_form == "chat"
    assert config.prompt_form == text
    assert knobs.change(config, "prompt_form", None).prompt_form is None
    leaf = knobs.leaves(config)["prompt_form"]
    assert knobs.from_text(leaf, "{prompt} in {language}") == "{prompt} in {language}", "not a YAML mapping"


@given(st.text(), st.text())
def test_the_text_of_a_task_is_never_interpreted(prompt, signature):
    """Rust is full of braces: `{}` and `{prompt}` in a task are text."""
    assert prompt_form.fill(prompt_form.BARE, prompt, signature) == prompt
    # A shipped form's name was a template without fields: the export's bench asked 50 times the one word "bare".
    assert prompt_form.fill("bare", prompt, signature) == prompt
    assert prompt.strip() in prompt_form.fill("chat", prompt, signature)
    filled = prompt_form.fill("{language}|{prompt}|{signature}|{{}}", prompt, signature)
    trimmed = signature.strip().removesuffix("{").rstrip()
    assert filled == f"Rust|{prompt.strip()}|{trimmed}|{{}}"


def test_the_chat_form_says_language_signature_and_block():
    """Asked with the prompt alone, a 1.5B coder answered HumanEval-X in Python and C++: 0 of 10 compiled."""
    text = prompt_form.fill(
        prompt_form.CHAT, "Say {hello}.\n", "use std::{fmt, io};\n\nfn hello(name: &str) -> String {\n"
    )
    assert text.startswith("Write a function in Rust.\n\nSay {hello}.\n\n")
    assert "```rust\nuse std::{fmt, io};\n\nfn hello(name: &str) -> String\n```" in text
    assert text.endswith("in one ```rust block.")


def test_a_task_without_a_signature_is_asked_without_one():
    """A signature is optional in a person's tasks: an empty block would ask for nothing."""
    assert "signature" not in prompt_form.fill(prompt_form.CHAT, "Say hello.", "")
    assert prompt_form.fill("{prompt} {signature}", "Say hello.", "") == "Say hello. "
