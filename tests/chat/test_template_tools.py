"""Rows with tools through chat templates: what is trained is what the model emits, and nothing is left out silently."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbcore.chat import actions, dates, frame, harmony, renderer, template, template_calls, template_tools
from nbcore.chat.template import IGNORED
from nbcore.core.records import Row
from nbcore.training import load
from tests.chat import conversations, templates
from tests.chat.conversations import TOOLS, asked

SEEDLING = load.tokenizer_at(str(load.SEEDLING))
# How a call of read_file begins in what is trained; the templates of the models that the profiles name, and kin.
CALLS = {
    "qwen2_5": '<tool_call>\n{"name": "read_file", "arguments": {"path": "a.rs"}}\n</tool_call>',
    "qwen3": '<tool_call>\n{"name": "read_file", "arguments": {"path": "a.rs"}}\n</tool_call>',
    "qwen3_instruct_2507": '<tool_call>\n{"name": "read_file", "arguments": {"path": "a.rs"}}\n</tool_call>',
    "qwen3_6": "<tool_call>\n<function=read_file>\n<parameter=path>\na.rs\n</parameter>",
    "llama3_1": '{"name": "read_file", "parameters": {"path": "a.rs"}}',
    "llama3_2": '{"name": "read_file", "parameters": {"path": "a.rs"}}',
    "lfm2_2_5": "[read_file(path='a.rs')]",
}


def row(**more):
    calls = [asked("read_file", {"path": "a.rs"}), asked("apply_patch", "x\ny")]
    messages = [
        {"role": "system", "content": "Repair."},
        {"role": "user", "content": "first question"},
        {"role": "assistant", "content": None, "tool_calls": calls} | more,
        {"role": "tool", "name": "read_file", "content": "first result"},
        {"role": "tool", "name": "apply_patch", "content": "second result"},
        {"role": "assistant", "content": "first answer"},
        {"role": "user", "content": "second question"},
        {"role": "assistant", "content": "", "tool_calls": [asked("list_files", "{}")]},
        {"role": "tool", "content": "third result"},
        {"role": "assistant", "content": "second answer"},
    ]
    return {"id": "r", "messages": messages, "tools": TOOLS}


@pytest.mark.parametrize("name", CALLS)
def test_all_actions_are_trained_and_nothing_else(name):
    """A mask that is off trains the results of tools: the model then writes its own test results."""
    tokenizer = templates.tokenizer(name)
    samples = template_tools.render(tokenizer, row())
    texts = [tokenizer.decode(ids) for sample in samples for ids in templates.emitted(sample)]
    assert len(texts) == 5 and all(text.endswith(tokenizer.decode([frame.frame(tokenizer).end])) for text in texts)
    assert CALLS[name] in texts[0] and "x\\ny" in texts[1].replace("x\ny", "x\\ny")
    assert [place for place, text in enumerate(texts) if "answer" in text] == [2, 4]
    for text in texts:
        assert "result" not in text and "question" not in text and "Repair" not in text
    for sample in samples:
        assert len(sample.ids) == len(sample.labels)
        assert "Read a file of the crate." in sample.text and "Repair." in sample.text


@pytest.mark.parametrize("name", CALLS)
def test_each_prompt_is_what_stands_before_the_action_that_is_trained(name):
    """Otherwise training and inference are two distributions."""
    tokenizer, whole = templates.tokenizer(name), row()
    whole["messages"][2:5] = [  # one call a message, as a model makes them
        {"role": "assistant", "content": "", "tool_calls": [asked("read_file", {"path": "a.rs"})]},
        {"role": "tool", "name": "read_file", "content": "first result"},
    ]
    samples = template_tools.render(tokenizer, whole)
    starts = {
        tuple(sample.ids[:place])
        for sample in samples
        for place in range(1, len(sample.ids))
        if sample.labels[place] != IGNORED and sample.labels[place - 1] == IGNORED
    }
    prompts = [template_tools.prompt(tokenizer, before) for before, _ in conversations.prefixes(whole)]
    assert starts == {tuple(prompt) for prompt in prompts} and len(prompts) == 4


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["qwen2_5", "qwen3_instruct_2507"]), conversations.rows(most_turns=2, most_calls=3))
def test_random_rows_are_rendered_whole_or_refused(name, whole):
    """Nothing is lost silently: every call and every result stands there, or an error says why not."""
    tokenizer = templates.tokenizer(name)
    for message in whole["messages"]:
        if message["role"] == "developer":
            message["role"] = "system"
        message.pop("thinking", None)
    try:
        samples = template_tools.render(tokenizer, whole)
    except ValueError as error:
        assert "\n" not in str(error)
        return
    steps = sum(
        len(message.get("tool_calls") or [1]) for message in whole["messages"] if message["role"] == "assistant"
    )
    assert sum(len(templates.emitted(sample)) for sample in samples) == steps
    for sample in samples:
        assert all(label in (IGNORED, id_) for id_, label in zip(sample.ids, sample.labels, strict=True))


@pytest.mark.parametrize(
    ("name", "more", "lost"),
    [
        ("gemma3", {}, "'tools'"),
        ("llama3", {}, "'tools'"),
        ("phi3", {}, "'tools'"),
        ("qwen2_5", {"thinking": "hm"}, "'thinking'"),
        ("llama3_1", {"content": "I read."}, "'content beside tool_calls'"),
    ],
)
def test_a_template_that_leaves_something_out_is_refused_in_one_line(name, more, lost):
    """The model would learn to answer calls that it never sees."""
    with pytest.raises(ValueError, match=f"^messages: {lost} cannot be rendered for training by the chat") as caught:
        template_tools.render(templates.tokenizer(name), row(**more))
    assert "\n" not in str(caught.value)


def test_reasoning_of_the_running_turn_is_kept_where_the_template_knows_it():
    texts = [sample.text for sample in template_tools.render(templates.tokenizer("qwen3"), row(thinking="look first"))]
    assert "<think>\nlook first\n</think>" in texts[0] and "look first" not in texts[-1]


@pytest.mark.parametrize("place", ["content", "arguments", "description"])
def test_no_text_of_a_row_or_its_tools_becomes_a_control_token(place):
    tokenizer, whole = templates.tokenizer("qwen2_5"), copy.deepcopy(row())
    if place == "content":
        whole["messages"][3]["content"] = "x<|im_end|>"
    elif place == "arguments":
        whole["messages"][2]["tool_calls"][0]["function"]["arguments"] = {"path": ["<|im_end|>"]}
    else:
        whole["tools"][0]["description"] = "<|im_start|>"
    with pytest.raises(template.ForgedToken, match="control token"):
        template_tools.render(tokenizer, whole)


# --- read back ----------------------------------------------------------------------------------------------

READ = ["qwen2_5", "qwen3", "qwen3_instruct_2507", "llama3_1", "llama3_2"]


@pytest.mark.parametrize("name", READ)
def test_what_is_trained_reads_back_as_the_action(name):
    tokenizer = templates.tokenizer(name)
    read = [
        template_calls.parse(tokenizer, ids, TOOLS)
        for sample in template_tools.render(tokenizer, row())
        for ids in templates.emitted(sample)
    ]
    assert [one.action for one in read] == [
        harmony.Call("read_file", {"path": "a.rs"}, '{"path": "a.rs"}'),
        harmony.Call("apply_patch", "x\ny", "x\ny"),
        harmony.Final("first answer"),
        harmony.Call("list_files", {}, "{}"),
        harmony.Final("second answer"),
    ]
    assert read[0].messages[0]["tool_calls"] == [asked("read_file", '{"path": "a.rs"}')]


CALL = '<tool_call>\n{"name": "read_file", "arguments": {"path": "a"}}\n</tool_call>'


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        (f"I read.\n{CALL}<|im_end|>", harmony.Call, ""),
        (CALL.replace("\n", "") + "<|im_end|>", harmony.Call, ""),
        (CALL, harmony.Truncated, ""),
        ("", harmony.Truncated, ""),
        (f"{CALL}\n{CALL}<|im_end|>", harmony.Malformed, "more than one call"),
        ("<tool_call>\n{<|im_end|>", harmony.Malformed, "no JSON"),
        ("<tool_call>\n[]</tool_call><|im_end|>", harmony.Malformed, "without 'name'"),
        (CALL.replace("read_file", "rm") + "<|im_end|>", harmony.Malformed, "'rm' is no function"),
        (CALL.replace('"a"', "7") + "<|im_end|>", harmony.Malformed, "do not fit"),
        ("<tool_call>" + "[" * 90_000 + "<|im_end|>", harmony.Malformed, "no JSON"),
        (
            '<tool_call>{"name": "apply_patch", "arguments": {}}</tool_call><|im_end|>',
            harmony.Malformed,
            "without 'text'",
        ),
        (
            '<tool_call>{"name": "apply_patch", "arguments": {"text": "x", "path": "a"}}</tool_call><|im_end|>',
            harmony.Malformed,
            "or with more",
        ),
    ],
)
def test_calls_of_qwen_are_read_or_it_is_said_why_not(text, kind, says):
    tokenizer = templates.tokenizer("qwen2_5")
    action = template_calls.parse(tokenizer, tokenizer.encode(text, add_special_tokens=False), TOOLS).action
    assert isinstance(action, kind) and says in getattr(action, "reason", ""), action


def test_a_template_whose_calls_are_no_json_is_refused_in_one_line():
    with pytest.raises(ValueError, match="cannot be read back"):
        template_calls.parse(templates.tokenizer("qwen3_6"), [1], TOOLS)


# --- which renderer -----------------------------------------------------------------------------------------


def test_one_place_says_which_renderer_a_row_takes():
    """Rows without tools stay as they were, for the seedling's goldens hang on every token."""
    plain = {"id": "p", "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    assert isinstance(renderer.chosen(SEEDLING, plain), renderer.Template)
    assert renderer.chosen(SEEDLING, plain).render(plain)[0][:2] == template.render(SEEDLING, plain["messages"])
    assert renderer.chosen(SEEDLING, plain).prompt({"messages": plain["messages"][:1]}) == template.prompt_ids(
        SEEDLING, plain["messages"][:1]
    )
    assert isinstance(renderer.chosen(SEEDLING, row()), renderer.Harmony)
    assert renderer.chosen(SEEDLING, row(), "2025-01-31").render(row()) == harmony.render(
        SEEDLING, row(), date="2025-01-31", system=False
    )
    qwen = templates.tokenizer("qwen2_5")
    qwen_alone = renderer.chosen(qwen, plain)
    assert "'qwen2_5'" in qwen_alone.describe() and "Harmony" in renderer.chosen(SEEDLING, row()).describe()


@settings(max_examples=60, deadline=None)
@given(conversations.rows(most_turns=1, most_calls=3), st.integers(0, 400))
def test_a_cut_sample_ends_with_an_action(whole, length):
    """Half a call teaches the model to stop in the middle of one."""
    sample = harmony.render(SEEDLING, whole)[0]
    made = actions.cut(sample, length, within=False)
    assert len(made.ids) <= length and made.ids == sample.ids[: len(made.ids)]
    if made.ids:
        assert made.labels[-1] != IGNORED
        assert isinstance(harmony.parse(SEEDLING, made.ids, TOOLS).action, harmony.Call | harmony.Final)


def test_a_developers_message_is_a_system_message_to_a_template():
    """Most templates know no developer, and would leave the instructions out or raise."""
    talk = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    told = {"content": "Be brief."}
    qwen = templates.tokenizer("qwen2_5")
    made = [
        renderer.chosen(qwen, {"messages": messages}).render(Row.parse({"id": "r", "messages": messages}))
        for messages in ([{"role": role, **told}, *talk] for role in ("developer", "system"))
    ]
    assert made[0] == made[1] and "Be brief." in made[0][0].text


def test_reasoning_beside_a_call_is_kept_under_the_name_that_data_sets_have_for_it():
    """As reasoning_content it was left out of rows with tools, and the template was not asked whether it shows it."""
    made = []
    for name in ("thinking", "reasoning_content"):
        whole = row()
        for message in whole["messages"]:
            if message["role"] == "assistant":
                message[name] = "a thought"
                message.pop("reasoning_content" if name == "thinking" else "thinking", None)
        made.append(renderer.chosen(templates.tokenizer("qwen3"), whole).render(whole))
    assert made[0] == made[1] and "a thought" in made[0][0].text


def test_rows_with_tools_and_without_name_one_date():
    """A gpt-oss that was given no date read 2024-07-26 in its template's rows and no date in those with tools."""
    gptoss = templates.tokenizer("gptoss")
    plain = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    for day, said in ((None, dates.SHIPPED), ("2025-01-31", "2025-01-31")):
        made = copy.copy(gptoss)
        made.chat_template = dates.freeze(gptoss.chat_template, day)
        for each in (plain, row()):
            assert f"Current date: {said}\n" in renderer.chosen(made, each, day).render(each)[0].text


@pytest.mark.parametrize(
    ("whole", "says"),
    [
        (None, "'messages' is None"),
        ({"messages": [7]}, r"messages\[0\] is 7"),
        ({"messages": [{"role": "user", "content": 7}]}, r"messages\[0\].content is 7"),
        (
            {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "preamble": "p"}]},
            "'preamble' is written in Harmony alone",
        ),
    ],
)
def test_what_is_no_row_is_said_in_one_line(whole, says):
    """It ended in a traceback from inside; and a preamble was passed over without a word."""
    with pytest.raises(ValueError, match=says):
        renderer.chosen(SEEDLING, whole).render(whole)


def test_the_order_of_plain_rows_is_the_templates_own_to_judge():
    """A greeting first, or two answers in a row, is what many data sets hold and what templates take."""
    said = [("assistant", "hello"), ("user", "q"), ("assistant", "a"), ("assistant", "b")]
    whole = {"messages": [{"role": role, "content": text} for role, text in said]}
    assert "hello" in renderer.chosen(SEEDLING, whole).render(whole)[0].text
