"""What a model remembers: rows leave a batch as they end, and a turn of a conversation reads only what is new."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from nbcore.config import Generation
from nbcore.tasks import katas
from nbcore.training import generate, load, past

TOKENIZER = load.tokenizer_at(str(load.SEEDLING))
TEXTS = [katas.code(task) for task in katas.load("heldout")[:12]]
PROMPTS = [TOKENIZER.encode(text, add_special_tokens=False)[: 9 + 7 * at] for at, text in enumerate(TEXTS)]
STOPS: list[int] = []
GREEDY = Generation(max_new_tokens=40, batch_size=12)


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(str(load.SEEDLING)).eval()


@pytest.fixture(scope="module", autouse=True)
def stops(model):
    """Rows are to end at different times: at the token that comes up in the most different places."""
    said = [one.ids for one in generate.sample(model, TOKENIZER, PROMPTS, GREEDY, [TOKENIZER.eos_token_id])]
    places = {id_: {ids.index(id_) for ids in said if id_ in ids} for id_ in {id_ for ids in said for id_ in ids}}
    STOPS[:] = [max(sorted(places), key=lambda id_: len(places[id_]))]


def drawn(model, prompts, generation=GREEDY, **more):
    """What is sampled, and how many ids of how many rows were read for it."""
    fed = []
    handle = model.get_input_embeddings().register_forward_pre_hook(lambda _, given: fed.append(given[0].shape))
    try:
        found = generate.sample(model, TOKENIZER, prompts, generation, STOPS, 3, logprobs=True, **more)
    finally:
        handle.remove()
    return found, fed


def fresh():
    return [past.Past() for _ in PROMPTS]


def same(found, expected):
    assert [one.ids for one in found] == [one.ids for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4) and len(one.ids) == len(one.logprobs)


def alone(model, prompts):
    """The same by transformers itself, prompt after prompt."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(past, "empty", lambda model: None)
        return [drawn(model, [prompt], Generation(max_new_tokens=40, batch_size=1))[0][0] for prompt in prompts]


def test_rows_that_have_ended_are_not_computed_and_change_no_other(model, monkeypatch):
    """One long answer made a whole batch pay for each of its tokens; a row taken for another would be worse."""
    shrunk, fed = drawn(model, PROMPTS, pasts=fresh())
    monkeypatch.setattr(past, "empty", lambda model: None)
    whole, before = drawn(model, PROMPTS)
    same(shrunk, whole)
    same(shrunk, alone(model, PROMPTS))
    lengths = sorted(len(one.ids) for one in shrunk)
    assert lengths[0] < lengths[8] < lengths[-1], "these prompts cannot show it"
    rows, rows_before = (sum(count for count, width in shapes if width == 1) for shapes in (fed, before))
    assert {count for count, _ in before} == {12} and rows < rows_before
    assert len(fed) == len(before), "and no token is computed twice"


def test_a_sample_is_settled_by_its_seed_in_a_batch_that_shrinks(model):
    warm = Generation(max_new_tokens=40, batch_size=12, temperature=1.0)
    (one, fed), (two, _) = (drawn(model, PROMPTS, warm, pasts=fresh()) for _ in range(2))
    assert [each.ids for each in one] == [each.ids for each in two]
    assert len({count for count, _ in fed}) > 2, "it has not shrunk"


def turns(first, found, more):
    return [prompt + one.ids + said for prompt, one, said in zip(first, found, more, strict=True)]


@pytest.mark.parametrize("count", [12, 1])
def test_a_turn_reads_only_what_is_new(model, count):
    """All of an episode was read again at each of its turns, which took longer than what was written."""
    pasts = [past.Past() for _ in range(count)]
    found, fed = drawn(model, PROMPTS[:count], pasts=pasts)
    assert fed[0] == (count, len(PROMPTS[count - 1]))
    prompts = PROMPTS[:count]
    for turn in range(2):
        said = [ids[: 5 + (3 * at + turn) % 11] for at, ids in enumerate(PROMPTS[:count])]
        prompts = turns(prompts, found, said)
        found, fed = drawn(model, prompts, pasts=pasts)
        new = max(map(len, said))  # and the last id that was sampled, where nothing was sampled after it
        assert fed[0] in {(count, new), (count, new + 1)}
        same(found, alone(model, prompts))


def test_another_conversation_is_read_from_where_it_is_another(model):
    """A prompt that was cut or written anew, answered from what stood there before, is answered wrongly."""
    pasts = fresh()
    found, _ = drawn(model, PROMPTS, pasts=pasts)
    prompts = turns(PROMPTS, found, [[7]] * 12)
    prompts[3] = prompts[3][:20] + prompts[5][20:40]
    prompts[11] = prompts[0]
    same(drawn(model, prompts, pasts=pasts)[0], alone(model, prompts))


def test_long_conversations_of_large_models_are_not_kept(model, monkeypatch):
    """Of a model of a billion parameters they would fill the memory of a whole machine."""
    monkeypatch.setattr(past, "MOST", 70 * 2 * 5 * 2 * 32 * 4)  # 70 tokens: of 5 layers, 2 heads of 32 numbers
    pasts = fresh()
    found, _ = drawn(model, PROMPTS, pasts=pasts)
    assert pasts[0].ids and not pasts[11].ids
    assert all(len(one.ids) <= 70 and bool(one.ids) == bool(one.layers) for one in pasts)
    prompts = turns(PROMPTS, found, [[7]] * 12)
    same(drawn(model, prompts, pasts=pasts)[0], alone(model, prompts))


def test_models_that_remember_in_another_way_are_left_to_transformers():
    """A window that slides has forgotten what a longer past would be put together from."""
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "vocab_size": 2048}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    for name, more, taken in (("llama", heads, True), ("mistral", {**heads, "sliding_window": 8}, False)):
        made = AutoModelForCausalLM.from_config(AutoConfig.for_model(name, **shape, **more)).eval()
        assert (past.empty(made) is not None) == taken
        pasts = fresh()
        found, _ = drawn(made, PROMPTS, pasts=pasts)
        assert all(bool(one.ids) == taken for one in pasts)
        prompts = turns(PROMPTS, found, [[7]] * 12)
        same(drawn(made, prompts, pasts=pasts)[0], alone(made, prompts))
    made.generation_config.cache_implementation = "static"
    assert past.empty(made) is None, "transformers refuses another cache where a publisher has chosen one"
    with torch.device("meta"):
        assert past.empty(AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **shape, **heads))) is None
