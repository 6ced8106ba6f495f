"""Secrets are taken out of what is shown, logged, kept or published; everything else stays as it is."""

import json

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbcore import config as configs
from nbcore import pipeline as pipelines
from nbcore import runs
from nbcore.core.redact import HIDDEN, TOKENS, redact
from nbcore.pipeline import stages

# Made up, of the right shape, and put together here so that no scanner takes this file for a leak.
LOOK = [
    "hf_" + "aB3" * 11 + "x",
    "gh" + "p_" + "k9Z" * 12,
    "github_" + "pat_" + "11ABC_" * 10,
    "AK" + "IA" + "ABCDEFGHIJKLMNOP",
    "AI" + "za" + "Sy-_4" * 7,
    "ey" + "JhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0" + ".dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    "sk-" + "abcDEF123" * 5,
]


@pytest.mark.parametrize("token", LOOK)
@pytest.mark.parametrize("around", ["{}", "token={}&x", '"{}"', "https://user:{}@host/path", "\\n{}\\n"])
def test_tokens_are_hidden_wherever_they_stand(token, around):
    """One token in one traceback of one notebook on a shared Drive is enough."""
    text = redact(around.format(token))
    assert text == around.format(HIDDEN) and token[:8] not in text


@pytest.mark.parametrize("token", LOOK[:3])
@pytest.mark.parametrize("before", ["\x1b[1m", "\\u001b[32m", "%3D", "tokenis"])
def test_a_prefix_that_is_unmistakable_needs_no_word_boundary(token, before):
    """rich prints tracebacks in colour, and a web address escapes what it holds."""
    assert redact(before + token) == before + HIDDEN


def test_the_value_of_a_secret_is_hidden_whatever_it_looks_like(monkeypatch):
    """A token of a service nobody thought of is known by being in the environment."""
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef0123456789abcdef01234567")
    assert redact("key 0123456789abcdef0123456789abcdef01234567!") == f"key {HIDDEN}!"
    monkeypatch.setenv("WANDB_API_KEY", " mine-alone\r\n")
    assert redact("key mine-alone!") == f"key {HIDDEN}!", "it is sent without the blanks around it"
    monkeypatch.setenv("WANDB_API_KEY", "x")
    assert redact("six boxes") == "six boxes", "a value of one letter would eat the text"


@given(st.text())
def test_what_is_no_token_stays(text):
    """Redaction that eats hashes or code would make reports lie."""
    if not TOKENS.search(text):
        assert redact(text) == text
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize("text", ["hf_transfer", "sha256 " + "0f" * 32, "sk-learn", "fn ghp_parse() {}", "AKIA", "eyJ"])
def test_words_that_only_begin_like_one_stay(text):
    assert redact(text) == text


def test_an_executed_notebook_is_kept_without_the_tokens_in_it(tmp_path, store):
    """Outputs, tracebacks and parameters: a notebook copied into a run goes to the mirror with it."""
    cell = nbformat.v4.new_code_cell("x", outputs=[nbformat.v4.new_output("stream", text=f"using {LOOK[0]}\n")])
    copy = tmp_path / "notebook.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata={"papermill": {"t": LOOK[1]}}), copy)
    run = runs.open(configs.load({"phase": "sft"}), store)
    kept = stages._keep(copy, run, store, pipelines.Stage(id="sft", phase="sft", config=""))
    assert kept == run.path / "notebook.ipynb"
    text = kept.read_text()
    assert LOOK[0] not in text and LOOK[1] not in text and HIDDEN in text
    nbformat.validate(nbformat.from_dict(json.loads(text)))
