"""Every profile that `config = "auto"` can choose is there, for every phase."""

import pytest

from nbcore import config as configs
from nbcore import pipeline as pipelines
from nbcore.core import hardware


@pytest.mark.parametrize("phase", configs.PHASES)
@pytest.mark.parametrize("profile", ["tiny", "small", "medium", "gpt_oss_20b"])
def test_a_profile_that_can_be_chosen_exists(repo, phase, profile):
    """On an L4 the notebook would otherwise end in 'no such file', though the tiny profile works everywhere."""
    config = configs.load(repo / "configs" / phase / f"{profile}.yaml")
    assert config.name == profile
    if not configs.TABLE[phase].makes_data:  # it loads no model
        assert (config.model.dtype == "float32") == (profile == "tiny"), "half precision is for GPUs, float32 for a CPU"


def test_these_are_the_profiles():
    """A fifth profile needs its configs first."""
    tiers = {"cpu": 8, "t4": 15, "l4": 22, "a100_40": 40, "a100_80": 80, "h100": 80}
    chosen = set()
    for tier, memory in tiers.items():
        kind = "cpu" if tier == "cpu" else "cuda"
        device = hardware.Device(kind=kind, name=tier, memory_gb=memory, bf16=tier not in ("cpu", "t4"), tier=tier)
        chosen.add(hardware.profile(device)[0])
    assert chosen == {"tiny", "small", "medium", "gpt_oss_20b"}


@pytest.mark.parametrize("profile", ["tiny", "small", "medium", "gpt_oss_20b"])
def test_every_profile_has_its_chain(repo, profile):
    """Its base model must be named in each config: an evaluation without one would measure the seedling instead."""
    plan = pipelines.load(repo / "configs" / "pipeline" / f"{profile}.yaml")
    phases = [stage.phase for stage in plan.stages if stage.phase not in ("data", "pretrain")]
    trained = ["evaluate", "lang_adapter", "evaluate", "sft", "evaluate", "ipo", "evaluate", "grpo", "evaluate"]
    assert phases == [*trained, "export"]
    bases = {stage.load().model.base for stage in plan.stages}
    assert len(bases) == 1 and (bases == {None}) == (profile == "tiny")


def test_the_chain_of_the_real_small_model_names_it_everywhere(repo):
    """Each of its stages stands on what `models fetch smollm2` brings, in float32: it is for two CPU cores."""
    plan = pipelines.load(repo / "configs" / "pipeline" / "smollm2.yaml")
    loaded = [stage.load() for stage in plan.stages]
    assert {(config.model.base, config.model.dtype) for config in loaded} == {("smollm2", "float32")}
    assert [config.phase for config in loaded if config.phase != "evaluate"] == ["lang_adapter", "sft", "ipo", "grpo"]


@pytest.mark.parametrize("profile", ["agent_tiny", "agent_small", "agent_gpt_oss_20b"])
def test_the_agent_has_its_chains(repo, profile):
    """A stage whose config another one does not fit ends hours later, on a GPU that is paid for. The adapter of all
    stages is the first one's: a rank that SFT alone names would be no rank at all."""
    stages = {
        stage.id: stage.load() for stage in pipelines.load(repo / "configs" / "pipeline" / f"{profile}.yaml").stages
    }
    assert stages["sft"].episodes and list(stages)[:2] == ["lang_adapter", "sft"]
    bases = {config.model.base for config in stages.values() if config.phase != "evaluate" or config.model.base}
    assert len(bases) == 1, "an evaluation may leave the base to the run that it measures"
    if stages["sft"].lora:
        assert stages["sft"].lora == stages["lang_adapter"].lora
    if profile == "agent_tiny":
        [asked] = [taskset["agent"] for taskset in stages["sft_eval"].model_dump()["tasksets"]]
        assert {name: asked[name] for name in ("tools", "brief", "shown")} == {
            name: getattr(stages["sft"].episodes, name) for name in ("tools", "brief", "shown")
        }
