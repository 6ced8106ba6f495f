"""Harmony: to the token what openai-harmony renders; masks, turns, and no text that becomes a control token."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from nbcore.chat import harmony, harmony_tokens, tools, typescript
from nbcore.chat.template import IGNORED
from nbcore.training import load
from tests.chat import conversations, gptoss

SEEDLING = load.tokenizer_at(str(load.SEEDLING))
HERE = Path(__file__).parent


def golden():
    for line in gptoss.data("golden.jsonl").read_text("utf-8").splitlines():
        conversation = json.loads(line)
        told = conversation["instructions"]
        system = [] if told is None else [{"role": "system", "content": told}]
        row = {"messages": [*system, *conversation["messages"]], "tools": conversation["tools"]}
        yield conversation, row


def trained(sample):
    """[start, end) of each run of trained tokens, as the ground truth has them."""
    spans = []
    for place, label in enumerate(sample.labels):
        if label == IGNORED:
            continue
        assert label == sample.ids[place]
        if spans and spans[-1][1] == place:
            spans[-1][1] += 1
        else:
            spans.append([place, place + 1])
    return spans


def test_ids_texts_and_masks_are_those_of_openai_harmony():
    """The model has seen this layout alone; a space too many is another language to it."""
    tokenizer, turns = gptoss.tokenizer(), 0
    for conversation, row in golden():
        options = {"reasoning": conversation["reasoning"], "date": conversation["date"]}
        samples = harmony.render(tokenizer, row, **options, recipient="role")
        assert len(samples) == len(conversation["turns"])
        for running, (sample, turn) in enumerate(zip(samples, conversation["turns"], strict=True)):
            assert sample.ids == turn["ids"] and sample.text == turn["text"], conversation["id"]
            assert trained(sample) == turn["trained"], conversation["id"]
            messages, action = harmony.parse(tokenizer, turn["ids"], row["tools"])
            assert messages == conversations.kept(row["messages"], running)
            assert isinstance(action, harmony.Final | harmony.Call)
            turns += 1
    assert turns > 40


def test_the_ids_of_the_control_tokens_are_those_that_openai_documents():
    known = harmony_tokens.control(gptoss.tokenizer())
    assert known[:7] == (200006, 200007, 200008, 200005, 200003, 200002, 200012)


def weather():
    location = {"type": "string", "description": "The city and state, e.g. San Francisco, CA"}
    cities = {
        "type": "array",
        "items": {"type": "string"},
        "description": 'List of city and state, e.g. ["San Francisco, CA", "New York, NY"]',
    }
    unit = {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"}
    either = {
        "description": "a oneof",
        "default": 20,
        "oneOf": [
            {"type": "string", "default": "default_string_in_oneof"},
            {"type": "number", "description": "numbers can happen too"},
        ],
    }
    text = {"type": "string", "title": "STRING", "description": "A string", "examples": ["hello", "world"]}
    nullable = {"type": "string", "nullable": True, "description": "A nullable string", "default": "the default"}
    everything = {
        "string": text,
        "string_nullable": nullable,
        "string_enum": {"type": "string", "enum": ["a", "b", "c"]},
        "oneof_string_or_number": either,
    }
    return [
        {"name": "get_location", "description": "Gets the location of the user."},
        {
            "name": "get_current_weather",
            "description": "Gets the current weather in the provided location.",
            "parameters": {
                "type": "object",
                "properties": {"location": location, "format": unit},
                "required": ["location"],
            },
        },
        {
            "name": "get_multiple_weathers",
            "description": "Gets the current weather in the provided list of locations.",
            "parameters": {
                "type": "object",
                "properties": {"locations": cities, "format": unit},
                "required": ["locations"],
            },
        },
        {
            "name": "kitchensink",
            "description": "A function with various complex schemas.",
            "parameters": {"description": "params object", "type": "object", "properties": everything},
        },
    ]


ROBOT = "Answer the user's questions like a robot."
CAPITAL = "What is the capital of the largest country in the world?"
OPENAI = {  # file -> instructions, question, options, tools
    "test_simple_convo": (None, "What is 2 + 2?", {}, None),
    **{f"test_simple_convo_{how}_effort": (ROBOT, CAPITAL, {"reasoning": how}, None) for how in harmony.REASONING},
    **{
        f"test_simple_convo_{how}_effort_no_instruction": (None, CAPITAL, {"reasoning": how}, None)
        for how in harmony.REASONING
    },
    "test_render_functions_with_parameters": (
        "Always respond in riddles",
        "What is the weather like in SF?",
        {"reasoning": "high", "date": "2025-06-28"},
        weather(),
    ),
}


@pytest.mark.parametrize("name", OPENAI)
def test_prompts_are_those_of_openais_own_tests(name):
    tokenizer = gptoss.tokenizer()
    told, question, options, offered = OPENAI[name]
    system = [] if told is None else [{"role": "system", "content": told}]
    row = {"messages": [*system, {"role": "user", "content": question}], "tools": offered}
    ids = harmony.prompt(tokenizer, row, **options)
    # Two lines of the functions' schema end in a space in OpenAI's file and in none of its renderings.
    expected = gptoss.data(f"openai/{name}.txt").read_text("utf-8").rstrip("\n")
    assert harmony_tokens.decode(tokenizer, ids) == expected
    assert ids == tokenizer.encode(expected, add_special_tokens=False)


def talk(*contents):
    roles = ["user", "assistant"] * len(contents)
    return [{"role": role, "content": content} for role, content in zip(roles, contents, strict=False)]


def test_turns_are_those_of_openais_own_tests():
    """What a finished turn thought is dropped, what the running one thinks is kept."""
    tokenizer = gptoss.tokenizer()

    def behind_system(ids):
        text = harmony_tokens.decode(tokenizer, ids)
        return text[text.index("<|start|>user") :]

    def expected(name):
        return gptoss.data(f"openai/{name}.txt").read_text("utf-8").rstrip("\n")

    asked = talk("What is 2 + 2?", "2 + 2 equals 4.", "What about 9 / 2?")
    asked[1]["thinking"] = "User asks a simple question."
    assert behind_system(harmony.prompt(tokenizer, {"messages": asked})) == expected("test_dropping_cot_by_default")
    answered = talk("What is 2 + 2?", "4", "What is 3 + 5?", "8")
    answered[1]["thinking"], answered[3]["thinking"] = "thinking 2+2", "thinking 3+5"
    last = harmony.render(tokenizer, {"messages": answered})[-1]
    assert behind_system([*last.ids[:-1], 200007]) == expected("test_keep_analysis_between_finals")


def test_types_of_functions_are_written_as_openai_harmony_writes_them():
    """Random sets of tools and one of odd numbers, rendered by openai-harmony 0.0.8: nested objects, alternatives."""
    for line in (HERE / "harmony_tools.jsonl").read_text("utf-8").splitlines():
        wanted = json.loads(line)
        offered = [
            tools.Function(one["name"], one.get("description", ""), one.get("parameters")) for one in wanted["tools"]
        ]
        assert typescript.section(offered) == wanted["text"]


# --- properties ---------------------------------------------------------------------------------------------


def hold(tokenizer, row, recipient):
    """All that must be true of a rendered row."""
    known = harmony_tokens.control(tokenizer)
    samples = harmony.render(tokenizer, row, date="2025-06-28", recipient=recipient)
    options = {"date": "2025-06-28", "recipient": recipient}
    assert len(samples) == sum(message["role"] == "user" for message in row["messages"])
    for running, sample in enumerate(samples):
        ids, labels = sample.ids, sample.labels
        # Round trip, and no text has become a control token: the ids say what the text would be without them.
        expected = conversations.kept(row["messages"], running)
        messages, _ = harmony.parse(tokenizer, ids, row["tools"])
        assert messages == expected
        turn = [message for message in expected if message["role"] != "system"]
        assert ids.count(known.call) == sum("tool_calls" in message for message in turn)
        assert ids.count(known.return_) == 1
        # What is trained is what the model emits at each prompt, up to one stop token.
        spans = trained(sample)
        starts = [number for number, message in enumerate(expected) if message["role"] == "user"]
        actions = [n for n in range(starts[running], len(expected)) if expected[n]["role"] == "assistant"]
        assert len(spans) == len(actions)
        before = []
        for (start, end), place in zip(spans, actions, strict=True):
            prompt = harmony.prompt(tokenizer, {**row, "messages": expected[:place]}, **options)
            assert ids[:start] == prompt and prompt[: len(before)] == before
            stops = [id_ for id_ in labels[start:end] if id_ in (known.call, known.return_)]
            assert len(stops) == 1 and ids[end - 1] == stops[0]
            got, action = harmony.parse(tokenizer, ids[start:end], row["tools"])
            assert got == [expected[place]]
            assert isinstance(action, harmony.Call if "tool_calls" in expected[place] else harmony.Final)
            before = ids[:end]


@settings(max_examples=150, deadline=None)
@given(conversations.rows(most_turns=3, most_calls=4), st.sampled_from(harmony.RECIPIENTS))
def test_rendering_and_parsing_are_inverse_and_training_is_inference(row, recipient):
    hold(SEEDLING, row, recipient)


@settings(max_examples=25, deadline=None)
@given(conversations.rows(most_turns=3, most_calls=3), st.sampled_from(harmony.RECIPIENTS))
def test_the_same_with_the_vocabulary_of_gpt_oss(row, recipient):
    hold(gptoss.tokenizer(), row, recipient)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None, database=None)
@given(conversations.rows(most_turns=2, most_calls=2), st.sampled_from(harmony.RECIPIENTS))
def test_the_same_ten_thousand_times(row, recipient):
    hold(SEEDLING, row, recipient)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(harmony_tokens.NAMES), min_size=1, max_size=4), conversations.TEXT)
def test_no_text_ever_becomes_a_control_token(names, around):
    """A file that a tool has read could otherwise end its message and speak for the model."""
    text = around + around.join(f"<|{name}|>" for name in names)
    known = harmony_tokens.control(SEEDLING)
    ids = harmony_tokens.encode(SEEDLING, text, known.forbidden)
    assert known.forbidden.isdisjoint(ids) and harmony_tokens.decode(SEEDLING, ids) == text


def test_a_token_that_was_added_without_being_special_is_spelt_out_too():
    """Hugging Face's option that splits special tokens leaves those alone."""
    import copy

    made = copy.deepcopy(SEEDLING)
    made.add_tokens(["<tool>"])
    id_ = made.convert_tokens_to_ids("<tool>")
    known = harmony_tokens.control(made)
    ids = harmony_tokens.encode(made, "a<tool>b<tool>", known.forbidden | {id_})
    assert id_ not in ids and harmony_tokens.decode(made, ids) == "a<tool>b<tool>"


def test_the_clock_changes_nothing():
    """The date comes from the config: tokens that change overnight break every cache and every resume."""
    row = {"messages": talk("q", "a")}
    assert "Current date" not in harmony.render(SEEDLING, row)[0].text
    assert "\nCurrent date: 2025-06-28\n" in harmony.render(SEEDLING, row, date="2025-06-28")[0].text


def test_calls_side_by_side_come_one_after_the_other_each_with_its_result():
    """Harmony stops at <|call|>; stock templates drop all calls but the first."""
    calls = [
        {"id": "1", **conversations.asked("list_files", "{}")},
        {"id": "2", **conversations.asked("list_files", {})},
        {"id": "3", **conversations.asked("read_file", {"path": "a"})},
    ]
    results = [
        {"role": "tool", "name": "read_file", "content": "third"},
        {"role": "tool", "tool_call_id": "2", "content": "second"},
        {"role": "tool", "content": "first"},
    ]
    messages = [*talk("q"), {"role": "assistant", "content": None, "tool_calls": calls}, *results, *talk("x", "a")[1:]]
    sample = harmony.render(SEEDLING, {"messages": messages, "tools": conversations.TOOLS})[0]
    places = [sample.text.index(f"<|message|>{word}<|end|>") for word in ("first", "second", "third")]
    assert places == sorted(places) and sample.text.count("<|call|>") == 3
    assert sample.text.count("functions.read_file to=assistant") == 1


def test_blank_instructions_are_written_as_openai_harmony_writes_them():
    """They were dropped, so that such a row had other ids than the model's own format; an empty text is none at all."""
    answered = talk("q", "a")
    for told in (" ", "\n", "\t\n "):
        row = {"messages": [{"role": "developer", "content": told}, *answered], "tools": conversations.TOOLS}
        assert (
            f"<|start|>developer<|message|># Instructions\n\n{told}\n\n# Tools\n\n"
            in harmony.render(SEEDLING, row)[0].text
        )
        row = {"messages": row["messages"]}
        shown = harmony.render(SEEDLING, row)[0]
        assert f"<|start|>developer<|message|># Instructions\n\n{told}<|end|>" in shown.text
        assert harmony.parse(SEEDLING, shown.ids)[0][0] == {"role": "system", "content": told}
    empty = {"messages": [{"role": "system", "content": ""}, *answered]}
    assert harmony.render(SEEDLING, empty) == harmony.render(SEEDLING, {"messages": answered})


@pytest.mark.parametrize("name", ["thinking", "reasoning_content", "reasoning"])
def test_reasoning_is_kept_whatever_a_data_set_calls_it(name):
    """Chat exports write reasoning_content: the model was trained to call and answer without a thought, silently."""
    call = {"role": "assistant", "content": None, name: "look", "tool_calls": [conversations.asked("list_files", "{}")]}
    said = [*talk("q"), call, {"role": "tool", "content": "src"}, {"role": "assistant", "content": "a", name: "seen"}]
    sample = harmony.render(SEEDLING, {"messages": said, "tools": conversations.TOOLS})[0]
    messages, _ = harmony.parse(SEEDLING, sample.ids, conversations.TOOLS)
    assert [message["thinking"] for message in messages if message["role"] == "assistant"] == ["look", "seen"]


def test_a_message_with_train_false_carries_no_loss():
    """A wrong first attempt is shown, so that recovery is learnt, and not imitated."""
    messages = talk("q", "a")
    call = {"role": "assistant", "content": "", "train": False, "tool_calls": [conversations.asked("list_files", "{}")]}
    messages[1:1] = [call, {"role": "tool", "content": "src"}]
    sample = harmony.render(SEEDLING, {"messages": messages, "tools": conversations.TOOLS})[0]
    messages[-1]["train"] = None  # as a table fills in what most messages do not have
    assert harmony.render(SEEDLING, {"messages": messages, "tools": conversations.TOOLS})[0] == sample
    assert len(trained(sample)) == 1 and "list_files" not in SEEDLING.decode([x for x in sample.labels if x >= 0])


def called(written="{}", **more):
    return [*talk("q"), {"role": "assistant", "tool_calls": [{**conversations.asked("f", written), **more}]}]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"messages": []}, "'messages' is"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "messages[0].role"),
        ({"messages": talk("q", None)}, "messages[1].content is None"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "no call came before"),
        ({"messages": [*talk("q", "a"), {"role": "system", "content": "a"}]}, "messages[2].role is 'system'"),
        ({"messages": [*talk("q"), {"role": "assistant", "tool_calls": [{"name": "a b"}]}]}, "function.name is 'a b'"),
        ({"messages": [*talk("q"), {"role": "assistant", "tool_calls": [7]}]}, "tool_calls[0] is 7"),
        (
            {"messages": [*talk("q"), {"role": "assistant", "tool_calls": [conversations.asked("f", 1)]}]},
            "arguments is 1",
        ),
        (
            {"messages": [*talk("q"), {"role": "assistant", "tool_calls": [conversations.asked("f", {"x": {1}})]}]},
            "arguments is {'x': {1}}, which is no JSON",
        ),
        ({"messages": [{"role": "user", "content": "\ud800"}, *talk("q", "a")[1:]]}, "messages[0].content holds half"),
        ({"messages": [*called("\ud800")]}, "messages[1].tool_calls[0].function.arguments holds half of a surrogate"),
        ({"messages": [*called(), {"role": "tool", "content": "r", "name": 5}]}, "messages[2].name is 5"),
        (
            {"messages": [*called(), {"role": "tool", "content": "r", "name": "g"}]},
            "messages[2].name is 'g', which no call",
        ),
        (
            {"messages": [*called(id="1"), {"role": "tool", "content": "r", "name": "f", "tool_call_id": "2"}]},
            "messages[2].tool_call_id is '2', which no call before it has",
        ),
        ({"messages": [*called(), {"role": "assistant", "content": "a"}]}, "the call of 'f' has no result"),
        (
            {"messages": [*talk("q", "a"), {"role": "assistant", "content": "b"}]},
            "messages[2].role is 'assistant' again",
        ),
        ({"tools": [{"name": "f", "description": "\ud800"}]}, "tools[0].description holds half of a surrogate pair"),
        ({"tools": [{"name": "f", "parameters": {"description": "\udc00"}}]}, "tools[0].parameters is"),
        (
            {"tools": [{"name": "f", "parameters": {"default": float("nan")}}]},
            "tools[0].parameters is {'default': nan}",
        ),
        ({"tools": "read_file"}, "tools is 'read_file'"),
        ({"tools": [{"name": "f"}, {"name": "f"}]}, "tools[1].name is 'f'"),
        ({"tools": [{"name": "f", "parameters": {"type": 7}}]}, "no JSON schema"),
        ({"tools": [{"description": "f"}]}, "tools[0].name is None"),
    ],
)
def test_what_cannot_be_rendered_is_said_in_one_line(change, says):
    row = {"messages": talk("q", "a"), "tools": []} | change
    with pytest.raises(ValueError) as caught:
        harmony.render(SEEDLING, row)
    assert says in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"reasoning": "much"}, "reasoning is 'much'; it must be one of low, medium, high"),
        ({"date": "28.6.2025"}, "date is '28.6.2025'; write it as 2025-01-31"),
        ({"recipient": "both"}, "recipient is 'both'; it must be one of channel, role"),
    ],
)
def test_options_are_checked(options, says):
    with pytest.raises(ValueError, match=f"^{says}"):
        harmony.render(SEEDLING, {"messages": talk("q", "a")}, **options)


def test_a_prompt_follows_on_the_user_or_a_result():
    with pytest.raises(ValueError, match=r"^messages: the last one is of the role 'assistant'"):
        harmony.prompt(SEEDLING, {"messages": talk("q", "a")})


def test_a_vocabulary_without_harmonys_tokens_is_refused():
    other = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), name_or_path="Qwen/Qwen3-8B")
    with pytest.raises(ValueError, match=r"^tokenizer 'Qwen/Qwen3-8B' has no token <\|start\|>"):
        harmony.parse(other, [1])
