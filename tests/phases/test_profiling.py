"""The profile of a run: its parts are the whole of its time, over all attempts, and it changes nothing else."""

import time

import psutil
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, LlamaConfig

from nbcore import config as configs
from nbcore import runs
from nbcore.core import hardware, lines
from nbcore.phases import ipo, pretrain, sft
from nbcore.runs import layout, profile
from nbcore.training import lora, profiling
from nbcore.training.footprint import empty_model
from tests.phases.short_runs import short, walk, write_pairs

STEP = {"data", "forward", "backward", "optimizer", "logging", "evaluation", "saving"}


class Breaks:
    """A live view in which a run ends as a lost machine ends it: without a word."""

    note = ""

    def __init__(self, step):
        self.step = step

    def tell(self, doing):
        pass

    def update(self, step, total, numbers):
        if step == self.step:
            raise RuntimeError("gone")


def test_the_parts_are_the_whole(chain):
    """A part that is timed by itself leaves gaps that nobody sees; evaluations counted as forward passes hide both."""
    run = runs.find(chain, "sft")
    found = profile.of(run)
    assert set(found.seconds) == STEP and found.steps == 4 and found.mfu is None
    assert all(found.seconds[part] > 0 for part in STEP)
    rows = [row for row in run.metrics() if "loss" in row]
    assert found.tokens == rows[-1]["num_tokens"]
    between = rows[-1]["time"] - rows[0]["time"]
    counted = sum(profile.summed([row]).total for row in rows[1:])
    assert counted == pytest.approx(between, rel=0.1, abs=0.02)
    if not torch.cuda.is_available():
        here = psutil.Process().memory_info().rss
        assert here / 4 < found.memory["resident"] < 4 * here


def test_a_profile_is_no_result(chain):
    """A run's numbers are compared with another's, and seconds differ on every machine."""
    assert not [name for name in runs.find(chain, "sft").info["metrics"] if name.startswith(profile.PREFIX)]


@pytest.mark.parametrize("phase", ["pretrain", "ipo"])
def test_other_phases_have_one(chain, phase):
    """What is measured in SFT alone says nothing of a chain."""
    module = {"pretrain": pretrain, "ipo": ipo}[phase]
    # Under a name of its own: with other pairs, it would be what another test opens as this config's run.
    run = runs.open(short(phase, name="profiled"), chain, configs.TABLE[phase].parent)
    if phase == "ipo":
        write_pairs(run, train=8)
    found = profile.of(walk(module, run))
    assert set(found.seconds) == STEP and found.steps == 4 and found.tokens > 0


def test_a_broken_run_has_the_seconds_of_all_its_attempts(chain):
    """What a step cost that was done twice was paid for twice."""
    run = runs.open(short("sft", seed=5, name="broken"), chain, "lang_adapter")
    with pytest.raises(RuntimeError, match="gone"):
        sft.train(run, Breaks(3))
    before = profile.of(run)
    assert before.steps == 3
    sft.train(run)
    after = profile.of(run)
    assert after.steps == 3 + 2, "steps 1 to 3, and 3 and 4 again"
    logged = [row["num_tokens"] for row in lines.read(run.path / layout.METRICS) if "loss" in row]
    assert logged[2] == logged[3] and after.tokens == logged[-1] + logged[2] - logged[1]
    assert all(after.seconds[part] >= before.seconds[part] for part in STEP)
    stretches = profile.binned(after, 2)
    assert [(first, last, part.steps) for first, last, part in stretches] == [(1, 2, 2), (3, 4, 3)]


def test_the_clock_costs_nothing_that_is_worth_a_switch(chain):
    """At ten borders a step it must stay below a hundredth of the fastest step that there is."""
    run = runs.find(chain, "sft")
    trainer = sft.trainer(runs.open(short("sft", seed=6, name="clock"), chain, "lang_adapter"))
    clock = profiling.Profile(trainer)
    clock.begin(0)
    began = time.thread_time()  # what others do meanwhile on a busy machine is no cost of the clock
    for step in range(200):
        for part in profiling.STEP:
            clock.lap(part)
        clock.stepped()
        clock.row(step)
    each = (time.thread_time() - began) / 200
    found = profile.of(run)
    assert each < 0.01 * found.total / found.steps


@pytest.mark.parametrize("trained", ["adapter", "all"])
def test_operations_are_those_that_torch_counts(trained):
    """An MFU with a wrong numerator looks as good as a right one."""
    shape = configs.load("configs/pretrain/tiny.yaml").architecture
    shape = LlamaConfig(**shape, vocab_size=512)
    model = AutoModelForCausalLM.from_config(shape, attn_implementation="eager")
    if trained == "adapter":
        model = lora.attach(model, configs.Lora())
    ids = torch.zeros(4, 16, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        model(input_ids=ids, labels=ids).loss.backward()
    counted = counter.get_total_flops() / ids.numel()
    assert profiling.flops_per_token(model) == pytest.approx(counted, rel=0.1)


def test_of_experts_those_count_that_a_token_goes_to():
    """gpt-oss has 32 experts and asks 4 of them: all of them would show an MFU eight times too high."""
    sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "vocab_size": 128, "head_dim": 16}
    few, many = (
        profiling.flops_per_token(
            empty_model(
                CONFIG_MAPPING["gpt_oss"](**sizes, num_local_experts=count, num_experts_per_tok=2),
                torch.bfloat16,
                "eager",
                None,
            )
        )
        for count in (4, 16)
    )
    experts, attention, head = 2 * (64 * 128 + 64 * 64), 64 * 16 * (64 + 8 + 8 + 64), 64 * 128
    assert few == many == 6 * (experts + attention + head)


def test_a_peak_is_known_by_the_name_that_the_driver_gives():
    """An L40S is no L4."""
    for name, peak in (("Tesla T4", 65e12), ("NVIDIA H100 80GB HBM3", 989e12), ("NVIDIA L40S", None)):
        assert hardware.peak_flops(hardware.Device("cuda", name, 40.0, True, "l4")) == peak
    assert hardware.peak_flops(hardware.Device("cpu", "T4 x2", 8.0, False, "cpu")) is None
    assert all(hardware.peak_flops(hardware.gpu(name)) for name in hardware.GPUS)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_has_its_own_clock_and_memory(chain):
    """Passes return before the GPU has begun: by the program's own clock they would take nothing."""
    found = profile.of(runs.find(chain, "sft"))
    assert set(found.memory) == {"allocated", "peak"} and found.memory["peak"] >= found.memory["allocated"] > 0
    assert found.seconds["backward"] > found.seconds["data"]
