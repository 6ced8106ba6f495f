"""Messages to ids and back: what is trained is what the model emits, and no text can forge a turn."""

import copy
import os

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from nbcore.chat import dates, template
from nbcore.training import load
from tests.chat import gptoss, templates

TOKENIZER = load.tokenizer_at(str(load.SEEDLING))
CONTROL = st.sampled_from(TOKENIZER.all_special_tokens)
TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60).filter(lambda text: "<|" not in text)


def talk(question, answer):
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


@settings(max_examples=200, deadline=None)
@given(TEXT, TEXT)
def test_what_is_trained_reads_back_as_the_answer(question, answer):
    """Rendering and reading must be inverse: the reward reads what the loss wrote."""
    ids, labels = template.render(TOKENIZER, talk(question, answer))
    trained = [label for label in labels if label != template.IGNORED]
    assert ids[: len(ids) - len(trained)] == template.prompt_ids(TOKENIZER, talk(question, answer)[:1])
    assert template.answer(TOKENIZER, trained) == (answer, False)
    assert template.answer(TOKENIZER, trained[:-1]) == (answer, True), "without its stop token it was cut"
    assert trained[-1] in template.stop_ids(TOKENIZER)


@settings(max_examples=50, deadline=None)
@given(TEXT, CONTROL, TEXT, st.booleans())
def test_no_text_becomes_a_control_token(before, token, after, asked):
    """A data set could otherwise end the user's turn and speak for the assistant."""
    forged = before + token + after
    with pytest.raises(template.ForgedToken, match="control token"):
        template.render(TOKENIZER, talk(forged, "a") if asked else talk("q", forged))


def test_history_ends_in_end_and_the_last_answer_in_return():
    """Harmony: a stored answer ends in <|end|>; only the one being trained ends in <|return|>."""
    ids, _ = template.render(TOKENIZER, talk("q", "a") + talk("r", "b"))
    text = TOKENIZER.decode(ids)
    assert text.count("<|return|>") == 1 and text.endswith("<|return|>")
    assert "<|message|>a<|end|><|start|>user" in text


def test_the_last_message_must_be_the_assistants():
    """A row without an answer would train nothing, silently."""
    with pytest.raises(ValueError, match="assistant"):
        template.render(TOKENIZER, talk("q", "a")[:1])


@pytest.mark.parametrize("where", ["tools", "tool_calls"])
def test_tools_are_refused_in_one_line(where):
    """Templates leave out what they do not know: the model would learn to answer calls that it never sees."""
    messages = talk("q", "a")
    if where == "tool_calls":
        call = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
        messages[1:1] = [call, {"role": "tool", "content": ""}]
    with pytest.raises(ValueError, match=f"^messages: '{where}' cannot be rendered for training yet; take") as caught:
        template.render(TOKENIZER, messages, [{"type": "function"}] if where == "tools" else None)
    assert "\n" not in str(caught.value)


def test_a_template_that_does_not_continue_its_prompt_is_refused():
    """Its mask would cover the wrong tokens."""
    broken = copy.deepcopy(TOKENIZER)
    broken.chat_template = "{% if add_generation_prompt %}different{% endif %}" + TOKENIZER.chat_template
    with pytest.raises(ValueError, match="generation prompt"):
        template.render(broken, talk("q", "a"))


# Of the templates that TRL ships, those that cannot be trained with on plain text: two want blocks of content (images),
# DeepSeek's and Nemotron's render an answer without the <think> that their own prompt has opened, GLM's original ends
# no turn.
UNTRAINABLE = {
    name
    for name in templates.NAMES
    if name.startswith(("deepseek", "nemotron", "idefics3", "llava_next")) or name == "glm4moe"
}
CODE = "fn f(x: i32) -> bool {\n    x < 3 // it 's so !\n}"
THINKING = ("qwen3", "qwen3_training", "qwen3_5_think", "qwen3_6", "qwen3_8", "glm4moe_training")


@pytest.mark.parametrize("name", sorted(set(templates.NAMES) - UNTRAINABLE))
@settings(max_examples=12, deadline=None)
@given(TEXT, TEXT)
def test_what_is_trained_reads_back_under_every_template(name, question, answer):
    """Phi-3's <|end|> and Qwen3's empty <think> block stayed in the answer: training on right answers took pass@1
    from 1 to 0, because everything was graded with them."""
    tokenizer = templates.tokenizer(name)
    for text in (answer, CODE):
        ids, labels = template.render(tokenizer, talk(question, text))
        trained = [label for label in labels if label != template.IGNORED]
        assert ids[: len(ids) - len(trained)] == template.prompt_ids(tokenizer, talk(question, text)[:1])
        read, truncated = template.answer(tokenizer, trained)
        assert read.strip() == text.strip() and not truncated  # some templates trim what they are given
        assert template.answer(tokenizer, trained[:-1])[1], "without its stop token it was cut"
        assert trained[-1] in template.stop_ids(tokenizer)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in templates.NAMES if name.startswith("gptoss")])
def test_what_is_trained_reads_back_with_the_real_vocabulary_of_gpt_oss(name):
    """A small tokenizer with added control tokens merges other pieces: Harmony's frame must hold on the real one."""
    tokenizer = copy.deepcopy(gptoss.tokenizer())
    tokenizer.chat_template = dates.freeze(templates.FILES[name].read_text("utf-8"))
    for text in (CODE, "fn f() {}\n", " 漢字 & <tag>\t", "a<b|>c"):
        ids, labels = template.render(tokenizer, talk("Write `f`.", text))
        trained = [label for label in labels if label != template.IGNORED]
        assert ids[: len(ids) - len(trained)] == template.prompt_ids(tokenizer, talk("Write `f`.", text)[:1])
        read, truncated = template.answer(tokenizer, trained)
        assert read.strip() == text.strip() and not truncated and template.answer(tokenizer, trained[:-1])[1]
        assert {200002, trained[-1]} <= {*template.stop_ids(tokenizer)}, "<|return|> ends the answer"


@pytest.mark.parametrize("name", sorted(UNTRAINABLE))
def test_a_template_that_cannot_be_trained_with_is_refused_in_one_line(name):
    """Its rows would train the wrong tokens, or an answer that is not there; the person hears which template it is."""
    with pytest.raises(ValueError, match=f"chat template of '{name}': .*chat_template.jinja") as caught:
        template.render(templates.tokenizer(name), talk("q", CODE))
    assert "\n" not in str(caught.value)


KEEP_REASONING = {
    *("qwen3", "qwen3_training", "qwen3_5_think", "qwen3_5_think_training", "qwen3_6", "qwen3_6_training"),
    *("qwen3_8", "qwen3_8_training", "gptoss", "gptoss_training", "muse_glimmer", "muse_glimmer_training"),
    *("glm4moe_training", "lfm2_2_5", "lfm2_2_5_vl", "diffusion_gemma", "diffusion_gemma_training"),
}


@pytest.mark.parametrize("name", sorted(set(templates.NAMES) - UNTRAINABLE))
@pytest.mark.parametrize("key", ["thinking", "reasoning_content"])
def test_reasoning_beside_an_answer_is_trained_or_refused(name, key):
    """Most templates know one name for it, or none, and passed over any other: a row that teaches to think was trained
    as one that answers at once, and nobody was told."""
    tokenizer = templates.tokenizer(name)
    rows = talk("q", CODE)
    rows[-1][key] = "nbcore thinks"
    if name not in KEEP_REASONING:
        with pytest.raises(ValueError, match=f"chat template of '{name}'") as caught:
            template.render(tokenizer, rows)
        assert not isinstance(caught.value, template.ForgedToken) and "\n" not in str(caught.value)
        return
    ids, labels = template.render(tokenizer, rows)
    trained = [label for label in labels if label != template.IGNORED]
    assert tokenizer.decode(trained).count("nbcore thinks") == tokenizer.decode(ids).count("nbcore thinks") == 1
    turn = template.read(tokenizer, trained)
    assert turn.text.strip() == CODE and "nbcore thinks" in turn.reasoning


def test_an_answer_to_nothing_is_refused_in_one_line():
    """Looking for instructions ahead of it ended in an IndexError."""
    with pytest.raises(ValueError, match="empty conversation"):
        template.render(templates.tokenizer("qwen2_5"), talk("q", "a")[1:])


def test_instructions_that_a_template_passes_over_are_refused():
    """The first template of Phi-3 wrote no system message: rows were trained as if nobody had given instructions."""
    told = [{"role": "system", "content": "Answer in Latin."}, *talk("q", "a")]
    for name in ("phi3", "qwen2_5", "llama3_2", "smollm2"):
        ids, _ = template.render(templates.tokenizer(name), told)
        assert "Answer in Latin." in templates.tokenizer(name).decode(ids)
    old = templates.tokenizer("phi3_first")
    for asks in (lambda: template.render(old, told), lambda: template.prompt_ids(old, told[:2])):
        with pytest.raises(
            ValueError, match=r"^messages: 'system' cannot be .* 'phi3_first', which leaves it out; take"
        ):
            asks()
    blank = [{"role": "system", "content": " "}, *talk("q", "a")]  # what many exports write for none
    assert template.render(old, blank) == template.render(old, talk("q", "a"))


@pytest.mark.parametrize("change", ["replace('\\n', ' ')", "e", "tojson", "upper", "replace('  ', ' ')"])
def test_a_template_that_changes_code_is_refused(change):
    """Each row was left out as one that holds control tokens, and the run ended with the advice to raise max_length."""
    broken = copy.deepcopy(TOKENIZER)
    broken.chat_template = broken.chat_template.replace("message.content", f"(message.content | {change})")
    with pytest.raises(ValueError, match=r"^chat template of .*; choose") as caught:
        template.render(broken, talk("q", "a"))
    assert not isinstance(caught.value, template.ForgedToken) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["idefics3", "idefics3_training"])
def test_a_template_that_passes_over_the_question_is_refused(name):
    """A base whose template wants parts, for images, was evaluated on empty questions and was worth 0 %."""
    with pytest.raises(ValueError, match=f"chat template of '{name}': it leaves out what the user says"):
        template.prompt_ids(templates.tokenizer(name), talk("q", "a")[:1])


@pytest.mark.parametrize(
    "source", ["{{ messages[0]['content'] + 3 }}", "{{ 1 // 0 }}", "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}"]
)
def test_whatever_a_template_fails_in_is_one_line(source):
    """Only errors of Jinja itself were; a TypeError, a division by zero or a recursion came as a traceback."""
    broken = copy.deepcopy(TOKENIZER)
    broken.chat_template = source
    with pytest.raises(
        ValueError, match=r"^chat template of .*: it cannot render these messages \(.*\); choose"
    ) as caught:
        template.prompt_ids(broken, talk("q", "a")[:1])
    assert "\n" not in str(caught.value)


def test_an_answer_that_is_not_to_be_trained_carries_no_loss():
    """Rows with tools kept to "train": false; without tools a wrong attempt so marked was learnt like any other."""
    rows = talk("q", "wrong")
    ids, labels = template.render(TOKENIZER, [rows[0], rows[1] | {"train": False}])
    assert set(labels) == {template.IGNORED} and ids == template.render(TOKENIZER, rows)[0]
    with pytest.raises(ValueError, match="messages: train is 'no'; it must be true or false"):
        template.render(TOKENIZER, [rows[0], rows[1] | {"train": "no"}])


def emitted(tokenizer, text, end=None):
    """What a model of this tokenizer emits that says `text` and ends its turn."""
    stop = template.frame(tokenizer).end if end is None else tokenizer.convert_tokens_to_ids(end)
    return [*tokenizer.encode(text, add_special_tokens=False), stop]


@pytest.mark.parametrize("name", ["qwen2_5", "qwen3", "llama3", "phi3", "gemma", "lfm2"])
def test_only_what_stands_behind_the_reasoning_is_the_answer(name):
    """A right draft inside <think> was graded together with the answer behind it, and the fence of the draft won."""
    tokenizer = templates.tokenizer(name)
    draft = "<think>\nFirst try:\n```rust\nfn f() {}\n```\nNo.\n</think>\n\n"
    assert template.answer(tokenizer, emitted(tokenizer, draft + CODE)) == (CODE, False)
    assert template.answer(tokenizer, emitted(tokenizer, f"{CODE}\n{draft}{draft}final")) == ("final", False)
    turn = template.read(tokenizer, emitted(tokenizer, draft + CODE))
    assert "First try" in turn.reasoning and CODE not in turn.reasoning
    unclosed = emitted(tokenizer, f"<think>\n{CODE}")
    assert template.answer(tokenizer, unclosed) == ("", False), "reasoning that never ends answers nothing"
    assert template.answer(tokenizer, unclosed[:-1]) == ("", True)


@pytest.mark.parametrize("name", ["qwen3_5_think", "qwen3_6", "deepseek_r1_distill", "deepseekv3", "nemotron_3_nano"])
def test_reasoning_that_the_prompt_has_opened_is_reasoning(name):
    """These prompts end in <think>: the completion holds the closing mark alone."""
    tokenizer = templates.tokenizer(name)
    assert template.answer(tokenizer, emitted(tokenizer, f"fn draft() {{}}\n</think>\n\n{CODE}")) == (CODE, False)
    assert template.answer(tokenizer, emitted(tokenizer, CODE)) == ("", False)


def test_what_goes_on_from_a_bare_text_is_all_of_it():
    """Asked without a template, a model whose template opens <think> had every answer taken for reasoning: 0 %. And
    SentencePiece took one space off a body's first line, which in Python is another indentation."""
    tokenizer = templates.tokenizer("qwen3_5_think")
    body = "    x + 1\n}\n"
    ids = emitted(tokenizer, body)
    assert template.gone_on(tokenizer, ids, [ids[-1]]) == (body, False, "")
    assert template.gone_on(tokenizer, ids[:-1], [ids[-1]]) == (body, True, "")
    pieces = {piece: place for place, piece in enumerate(["</s>", *"▁abcdefghijklmnopqrstuvwxyz"])}
    made = tokenizers.Tokenizer(models.BPE(pieces, []))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    llama = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="</s>")
    indented = [pieces[piece] for piece in "▁▁▁▁return▁x"]
    assert llama.decode(indented) == "   return x", "it decodes as Llama 2's does"
    assert template.gone_on(llama, [*indented, 0], [0]).text == "    return x"


def test_gemma_4_reasons_between_marks_of_its_own():
    """Its reasoning stands between <|channel> and <channel|>, which its template names."""
    tokenizer = templates.tokenizer("gemma4")
    assert template.answer(tokenizer, emitted(tokenizer, f"<|channel>thought\ndraft<channel|>{CODE}")) == (CODE, False)


@pytest.mark.parametrize("name", THINKING)
def test_rows_may_bring_their_reasoning(name):
    """Distilled rows have it in the text of the answer: it is trained, and what reads back is the answer behind it."""
    tokenizer = templates.tokenizer(name)
    _, labels = template.render(tokenizer, talk("q", f"<think>\nLet me see.\n</think>\n\n{CODE}"))
    turn = template.read(tokenizer, [label for label in labels if label != template.IGNORED])
    assert (turn.text, turn.truncated) == (CODE, False)
    assert "Let me see." in turn.reasoning


def test_a_row_whose_answer_would_not_read_back_is_refused():
    """An open <think> in an answer would teach a model to answer nothing."""
    with pytest.raises(template.ForgedToken, match="read back"):
        template.render(templates.tokenizer("qwen2_5"), talk("q", f"<think> {CODE}"))


@pytest.mark.parametrize("name", ["gptoss", "gptoss_training", "muse_glimmer", "seedling"])
def test_only_the_final_message_is_the_answer(name):
    """Harmony: a right draft in the analysis passed, whatever the final message said."""
    tokenizer = TOKENIZER if name == "seedling" else templates.tokenizer(name)
    harmony(tokenizer, *(MUSE if name == "muse_glimmer" else HARMONY))


HARMONY = ("<|channel|>analysis<|message|>{}<|end|><|start|>assistant", "<|channel|>final<|message|>{}")
MUSE = (" to=self<|message|>{}<|eom|><|start|>assistant", " to=user<|message|>{}")


def harmony(tokenizer, draft, final):
    right, wrong = "```rust\nfn right() {}\n```", "```rust\nfn wrong() {}\n```"
    assert template.answer(tokenizer, emitted(tokenizer, draft.format(right) + final.format(wrong))) == (wrong, False)
    assert template.answer(tokenizer, emitted(tokenizer, draft.format(wrong) + final.format(right))) == (right, False)
    turn = template.read(tokenizer, emitted(tokenizer, draft.format(wrong) * 2 + final.format(right)))
    assert turn.text == right and turn.reasoning.count("wrong") == 2
    only_draft = draft.format(right)
    assert template.answer(tokenizer, emitted(tokenizer, only_draft)) == ("", False)
    assert template.answer(tokenizer, emitted(tokenizer, only_draft)[:-1]) == ("", True)
    cut = tokenizer.encode(draft.format(right).partition("<|e")[0], add_special_tokens=False)
    assert template.answer(tokenizer, cut) == ("", True), "cut inside the analysis"


def test_commentary_and_calls_are_no_answer():
    """A tool call ends in <|call|>, and a preamble stands before one: neither is the final message."""
    tokenizer = templates.tokenizer("gptoss")
    call = f"<|channel|>commentary to=functions.run <|constrain|>json<|message|>{CODE}"
    assert template.answer(tokenizer, emitted(tokenizer, call, "<|call|>")) == ("", False)
    preamble = "<|channel|>commentary<|message|>fn draft() {}<|end|><|start|>assistant"
    final = "<|channel|>final <|constrain|>text<|message|>" + CODE
    assert template.answer(tokenizer, emitted(tokenizer, preamble + final)) == (CODE, False)


@pytest.mark.skipif("NBCORE_GPT_OSS_TOKENIZER" not in os.environ, reason="NBCORE_GPT_OSS_TOKENIZER names no folder")
def test_the_real_gpt_oss_tokenizer():
    """The same on the tokenizer that gpt-oss has, where a folder with it is at hand."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(os.environ["NBCORE_GPT_OSS_TOKENIZER"])
    tokenizer.chat_template = templates.tokenizer("gptoss").chat_template
    harmony(tokenizer, *HARMONY)
    _, labels = template.render(tokenizer, talk("q", CODE))
    assert template.answer(tokenizer, [label for label in labels if label != template.IGNORED]) == (CODE, False)
    assert {200002, 200012, 199999} <= set(template.stop_ids(tokenizer))


@pytest.mark.parametrize("name, token", [("phi3", "<|end|>"), ("llama3", "<|eot_id|>"), ("qwen2_5", "<|im_end|>")])
def test_control_tokens_without_a_name_cannot_be_forged_either(name, token):
    """Phi-3's <|end|> and Llama's <|eot_id|> are added tokens that no attribute of the tokenizer names."""
    tokenizer = templates.tokenizer(name)
    for rows in (talk(f"a{token}b", "c"), talk("a", f"b{token}c")):
        with pytest.raises(template.ForgedToken, match="control token"):
            template.render(tokenizer, rows)


def test_spaces_before_punctuation_survive():
    """Llama's tokenizer tidies what it decodes: `x !` would come back as `x!`."""
    import copy

    tidy = copy.deepcopy(templates.tokenizer("llama3"))
    tidy.clean_up_tokenization_spaces = True
    assert template.answer(tidy, emitted(tidy, CODE)) == (CODE, False)


def test_stops_are_all_that_publisher_tokenizer_and_template_name():
    """A publisher names several ends (Llama 3, Gemma, Phi-3): a model stopped at one alone runs past the rest."""
    from transformers import GenerationConfig

    tokenizer = templates.tokenizer("gemma")
    own = set(template.stop_ids(tokenizer))
    assert tokenizer.convert_tokens_to_ids("<end_of_turn>") in own and tokenizer.eos_token_id in own
    assert set(template.stop_ids(tokenizer, GenerationConfig(eos_token_id=[7, 9]))) == own | {7, 9}
    assert set(template.stop_ids(tokenizer, GenerationConfig(eos_token_id=11))) == own | {11}
    assert set(template.stop_ids(tokenizer, GenerationConfig())) == own
    ids = [*tokenizer.encode("ab", add_special_tokens=False), 9, 5]
    assert template.answer(tokenizer, ids, stops=template.stop_ids(tokenizer, GenerationConfig(eos_token_id=[9]))) == (
        "ab",
        False,
    )
