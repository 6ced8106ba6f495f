"""The config of reinforcement learning on verdicts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from nbcore.config.agent import Episodes
from nbcore.config.schema import AdapterTraining, Asking, Closed, Count, Sampling, Tasks, needs_temperature


class RewardWeights(Closed):
    """What a verdict is worth."""

    compiles: Annotated[float, Field(ge=0)] = 0.1
    """The program compiles."""
    tests: Annotated[float, Field(ge=0)] = 0.4
    """Share of the hidden tests that pass."""
    passed: Annotated[float, Field(ge=0)] = 0.5
    """All hidden tests pass."""
    lint: Annotated[float, Field(ge=0, le=0.15)] = 0.0
    """Few clippy warnings; counts only when all hidden tests pass."""
    docs: Annotated[float, Field(ge=0, le=0.15)] = 0.0
    """Documented public items; counts only when all hidden tests pass."""


class Grpo(AdapterTraining, Asking):
    """Reinforcement learning on the verdict of the real compiler and hidden tests."""

    ADDED = (*AdapterTraining.ADDED, "lora", "prompt_form", "episodes", "rollout_engine")
    TOLD = "GRPOConfig"
    phase: Literal["grpo"] = "grpo"
    """Names the phase."""
    tasks: Tasks = Tasks()
    """Prompts with hidden tests; no demonstrations are used."""
    group_size: Annotated[int, Field(ge=2)] = 8
    """Completions per prompt, among which the advantage is computed. batch_size × gradient_accumulation completions
    make one optimizer step, so that many divided by group_size prompts."""
    generation: Sampling = Sampling(temperature=1.0)
    """How completions are drawn."""
    _differing = field_validator("generation")(needs_temperature)
    episodes: Episodes | None = None
    """Not a function is asked for: a fault is put into each task's solution, and the policy repairs it with tools, in
    several turns. What that is worth stands in episodes.weights."""
    rollout_engine: Literal["transformers", "vllm", "vllm_colocate", "vllm_server"] = "transformers"
    """Who draws the completions. vllm: the server at trainer's vllm_server_base_url, else vLLM on the same GPU in what
    the memory plan leaves free. vllm_colocate: on the same GPU, in the share of it that trainer's
    vllm_gpu_memory_utilization says. vllm_server: `vllm serve` on other GPUs."""
    loss_type: Literal["dapo", "dr_grpo", "bnpo", "grpo", "gspo"] = "dapo"
    """TRL's loss; gspo means sequence-level importance sampling with the grpo loss."""
    beta: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the KL divergence to the parent; 0 keeps no reference model."""
    weights: RewardWeights = RewardWeights()
    """Reward components."""
    jobs: Count = 2
    """Programs graded at once."""

    @model_validator(mode="after")
    def _whole_groups(self):
        completions = self.effective_batch
        if completions % self.group_size:
            raise ValueError(
                f"batch_size × gradient_accumulation is {completions}: "
                f"it must be a multiple of group_size {self.group_size}"
            )
        return self

    @property
    def logits_at_once(self) -> int:
        """The completion's; of an agent those of its whole episode."""
        return self.episodes.length if self.episodes else self.generation.max_new_tokens

    @property
    def has_reference(self) -> bool:
        """Only a KL divergence needs one."""
        return self.beta > 0

    @property
    def answers_at_once(self) -> int:
        """All completions of an optimizer step are generated together, whatever the micro-batch."""
        return self.effective_batch

    @property
    def longest_row(self) -> int:
        """The longest row in one forward pass, in tokens: what the estimate of memory goes by."""
        if self.episodes:
            return self.episodes.length
        return 256 + self.generation.max_new_tokens  # a prompt of the katas and its completion
