"""Messages to ids and back: what is trained is what the model emits, and no text can forge a turn."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbcore.chat import template
from nbcore.training import load

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


def test_a_template_that_does_not_continue_its_prompt_is_refused():
    """Its mask would cover the wrong tokens."""
    import copy

    broken = copy.deepcopy(TOKENIZER)
    broken.chat_template = "{% if add_generation_prompt %}different{% endif %}" + TOKENIZER.chat_template
    with pytest.raises(ValueError, match="generation prompt"):
        template.render(broken, talk("q", "a"))
