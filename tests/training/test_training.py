"""Tokenizer, generation and memory plan: what every phase stands on."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from nbcore import config as configs
from nbcore import runs
from nbcore.chat import template
from nbcore.tasks import katas, sets
from nbcore.training import corpus, generate, load, lora, memory, tokenizer
from tests.training.clock import without_clock

SEEDLING = load.tokenizer_at(str(load.SEEDLING))


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=80))
def test_any_text_survives_the_tokenizer(text):
    """Byte level means no text is unknown; a lossy round trip would corrupt programs."""
    ids = SEEDLING.encode(text, add_special_tokens=False)
    assert SEEDLING.decode(ids, clean_up_tokenization_spaces=False) == text


def test_pre_tokeniser_is_the_one_llama_cpp_calls_starcoder():
    """GGUF export names a pre-tokeniser; another split gives other ids for the same text."""
    spec = json.loads(SEEDLING.backend_tokenizer.to_str())["pre_tokenizer"]
    digits, level = spec["pretokenizers"]
    assert (digits["type"], digits["individual_digits"]) == ("Digits", True)
    assert (level["type"], level["add_prefix_space"], level["use_regex"]) == ("ByteLevel", False, True)
    assert [SEEDLING.decode([i]) for i in SEEDLING.encode("2024", add_special_tokens=False)] == list("2024")


def test_control_tokens_are_single_ids_from_the_start():
    """Harmony's and fill-in-the-middle tokens are reserved, so that later phases need no new embeddings."""
    ids = [SEEDLING.convert_tokens_to_ids(token) for token in tokenizer.CONTROL]
    assert ids == list(range(len(tokenizer.CONTROL)))
    assert SEEDLING.eos_token == "<|return|>" and SEEDLING.pad_token == "<|endoftext|>"


def test_training_a_tokenizer_is_deterministic():
    """Equal texts, equal ids: a base model is only as reproducible as its tokenizer."""
    texts = [katas.document(task) for task in katas.generate(3, 300, split="train")]
    first, second = (tokenizer.train(texts, 600).backend_tokenizer.to_str() for _ in range(2))
    assert first == second


def test_documents_become_whole_rows_and_cuts_are_counted():
    """A row that starts in the middle of a document teaches a small model nothing."""
    documents = [{"id": "a", "text": "fn a() {}"}, {"id": "b", "text": "x " * 500}, {"id": "c", "text": "<|end|>"}]
    rows, counts = corpus.encode(SEEDLING, documents, 64)
    assert [len(row["input_ids"]) <= 64 for row in rows] == [True, True]
    assert counts == {
        "documents": 2,
        "tokens": sum(len(r["input_ids"]) for r in rows),
        "cut": 1,
        "control_tokens_inside": 1,
    }
    assert rows[0]["input_ids"][-1] == SEEDLING.pad_token_id, "a whole document ends in its end mark"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return runs.open(configs.load("configs/evaluate/tiny.yaml"), tmp_path_factory.mktemp("store"))


def test_batches_change_no_greedy_answer(run):
    """Padding that leaks into attention or positions would make results depend on the neighbours in a batch."""
    model = load.policy(run, None)
    prompts = [template.prompt_ids(SEEDLING, sets.question(task)) for task in katas.load("heldout")[:6]]
    one, many = (
        without_clock(
            generate.generate(model, SEEDLING, prompts, configs.Generation(max_new_tokens=24, batch_size=size))
        )
        for size in (1, 6)
    )
    assert one == many


def test_a_seed_settles_the_samples(run):
    """Rollouts that cannot be drawn again cannot be examined."""
    model = load.policy(run, None)
    prompts = [template.prompt_ids(SEEDLING, sets.question(katas.load("heldout")[0]))] * 4
    warm = configs.Generation(temperature=1.0, max_new_tokens=24)
    drawn = [without_clock(generate.generate(model, SEEDLING, prompts, warm, seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_no_publishers_sampling_setting_survives(run):
    """A repetition penalty shipped with the weights would make 'greedy' something else for one model only."""
    model = load.base_model(run)
    assert model.generation_config.repetition_penalty in (None, 1.0)
    assert model.generation_config.eos_token_id in (SEEDLING.eos_token_id, [SEEDLING.eos_token_id])


def test_half_precision_on_a_cpu_is_refused(tmp_path):
    """bfloat16 there is a hundred times slower: a run of minutes would take days, without an error."""
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    run = runs.open(configs.load("configs/evaluate/tiny.yaml", {"model.dtype": "bfloat16"}), tmp_path)
    with pytest.raises(ValueError, match=r"model\.dtype.*float32"):
        load.base_model(run)


def test_sizes_are_those_of_what_is_loaded(run):
    """A plan that is wrong about the model it describes is worse than none."""
    sizes = memory.sizes(run)
    assert sizes["parameters"] == f"{load.base_model(run).num_parameters():,}" and sizes["base"] == "seedling"


def test_documents_that_carry_no_loss_are_left_out_counted_and_shown(capsys):
    """Three of four steps had a loss of 0, and a corpus cut to one token finished with eval_loss NaN."""
    texts = ["fn a() {}", "", " \n\t", "\u2028", "x"]
    documents = [{"id": str(number), "text": text} for number, text in enumerate(texts)]
    rows, counts = corpus.encode(SEEDLING, documents, 64)
    assert [row["id"] for row in rows] == ["0"] and counts["documents"] == 1 and counts["too_short"] == 4
    assert "4 documents are blank or a single token" in capsys.readouterr().out
    for few, most in ((documents[1:], 64), (documents, 1)):
        with pytest.raises(ValueError, match=rf"no document is left .*too_short.*corpus.sources.*max_tokens.*{most}"):
            corpus.encode(SEEDLING, few, most)


def test_a_corpus_of_nothing_ends_at_once():
    """Every document set aside: the row order would be sought for ever."""
    with pytest.raises(ValueError, match=r"no document is left .*control_tokens_inside.: 1.*corpus.sources"):
        corpus.encode(SEEDLING, [{"id": "forged", "text": "<|end|>"}], 64)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("5\n", "has no known shape"),
        ('"id prompt tests"\n', "has no known shape"),
        ('{"id": "a", "prompt": "x", "tests": ""}\n', "'a': its tests are empty"),
    ],
)
def test_a_file_without_a_good_task_is_one_clear_line(tmp_path, lines, words):
    """Two tasks of one id: a prompt would be graded by the other one's tests."""
    path = tmp_path / "tasks.jsonl"
    path.write_text(lines)
    with pytest.raises(ValueError, match=f"tasks.source: .*{words}"):
        sets.tasks(str(path), "train", None, 0)


def test_a_folded_adapter_gives_the_same_logits_and_leaves_no_trace():
    """GRPO samples with the adapter folded in: were it another policy, or the base a little different afterwards, the
    advantages would belong to somebody else."""
    torch.manual_seed(0)
    model = lora.attach(AutoModelForCausalLM.from_pretrained(load.SEEDLING), configs.Lora(rank=4))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.05)
    ids = torch.randint(50, 2000, (2, 12))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trainable = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    with torch.no_grad():
        apart = model(ids).logits
        with lora.folded(model):
            together = model(ids).logits
            with model.disable_adapter():
                assert torch.equal(model(ids).logits, together), "within, nothing of the adapter is left to add"
        base = model.base_model(ids).logits
    assert torch.allclose(apart, together, atol=1e-4) and torch.equal(apart, base)
    with torch.no_grad(), model.disable_adapter():
        assert not torch.allclose(model(ids).logits, apart, atol=1e-2)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert trainable == [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def test_generation_halves_its_batches_where_memory_runs_out(run, capsys):
    """An evaluation that dies after an hour for one batch of long prompts; the answers are the same in smaller ones."""
    model = load.policy(run, None)
    prompts = [template.prompt_ids(SEEDLING, sets.question(task)) for task in katas.load("heldout")[:8]]
    settings = configs.Generation(max_new_tokens=8, batch_size=8)
    calm = generate.generate(model, SEEDLING, prompts, settings)
    real, sizes = model.generate, []

    def tight(input_ids, **rest):
        sizes.append(len(input_ids))
        if len(input_ids) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")
        return real(input_ids=input_ids, **rest)

    model.generate = tight
    done = []
    again = generate.generate(model, SEEDLING, prompts, settings, progress=done.append)
    assert without_clock(again) == without_clock(calm)
    assert sizes == [8, 4, 2, 2, 2, 2] and [each for each in done if each == int(each)] == [2, 4, 6, 8]
    assert done == sorted(done) and len(done) > 8, "it is told after every token"
    assert "out of memory with 8 side by side: going on with 4" in capsys.readouterr().out


def test_what_is_a_lack_of_memory_and_what_is_not():
    """A typo taken for a full GPU would be tried four times, each slower; the reverse would end a run."""
    for lack in (
        torch.OutOfMemoryError("x"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
    ):
        assert memory.is_lacking(lack)
    for other in (RuntimeError("shape mismatch"), ValueError("out of memory"), KeyError("memory")):
        assert not memory.is_lacking(other)


def test_a_smaller_micro_batch_divides_the_effective_one():
    """batch 6 × 4: half of 6 is 3, and 24 is 8 threes; of 5 × 1 only ones are left."""
    cases = {(6, 24): 3, (3, 24): 1, (5, 5): 1, (64, 64): 32, (10, 40): 5, (2, 2): 1, (1, 8): None}
    assert {case: memory.smaller(*case) for case in cases} == cases
