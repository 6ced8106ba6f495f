"""The config of an evaluation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from nbcore.config import tasksets as sets
from nbcore.config.schema import Asking, Closed, Count, Generation, Phase

ACCURACIES = ("acc", "acc_norm", "exact_match")  # metrics of the harness that are 0 or 1 for each document


class Harness(Closed):
    """Tasks of lm-evaluation-harness, an extra: what a model knew beside Rust. Needs `--with lm-eval`."""

    tasks: Annotated[list[Annotated[str, Field(pattern=r"^[\w.-]+$")]], Field(min_length=1)]
    """Its tasks or groups, as `python -m lm_eval ls tasks` lists them: mmlu, hellaswag."""
    include_path: str | None = None
    """A folder with tasks of one's own as its YAML files; then only those are known, and code in them runs."""
    limit: Count | None = None
    """Only the first so many documents of each task."""
    num_fewshot: Annotated[int, Field(ge=0)] | None = None
    """Examples before each question. Empty: as the task says."""
    batch_size: Count = 8
    """Sequences side by side."""
    chat: bool = False
    """Whether questions go through the model's chat template."""


class Evaluate(Phase, Asking):
    """Compile rate, pass@k, lints and perplexity of any run, with intervals."""

    ADDED = (*Phase.ADDED, "prompt_form", "tasksets", "harness")
    phase: Literal["evaluate"] = "evaluate"
    """Names the phase."""
    source: str = "katas"
    """'katas', or a file or folder of tasks."""
    heldout: Annotated[int, Field(ge=0)] = 300
    """Tasks of unseen compositions; of a file, the first so many in the order of the seed. 0: only the task sets."""
    unseen: Annotated[int, Field(ge=0)] = 100
    """Tasks of unseen families, reported apart; a file has none."""
    tasksets: list[str | sets.TaskSet] = []
    """Task sets beside these, each reported under its name: names of configs/tasksets/, paths of such .yaml files, or
    mappings of their fields."""
    harness: Harness | None = None
    """General benchmarks beside these, by lm-evaluation-harness: {tasks: [mmlu]}. Empty: none."""
    generation: Generation = Generation()
    """Decoding, the same for every model compared."""
    samples: Count = 1
    """Completions per task; above 1 pass@k is estimated (needs a temperature above 0)."""
    k: Annotated[list[Count], Field(min_length=1)] = [1]
    """Which pass@k to report."""
    perplexity_documents: Annotated[int, Field(ge=0)] = 200
    """Held-out documents of each kind (katas of unseen compositions, and files of two) for the perplexity."""
    max_tokens: Count = 192
    """Tokens of a document that the perplexity looks at."""
    jobs: Count = 2
    """Programs graded at once."""

    @field_validator("tasksets", mode="before")
    @classmethod
    def _one_entry_each(cls, value: Any) -> Any:
        if not isinstance(value, list):
            raise ValueError("must be a list of names, paths or mappings; write it in brackets")
        return [sets.parsed(entry) for entry in value]

    @model_validator(mode="after")
    def _asks_something(self):
        if self.heldout == 0 and not self.tasksets:
            raise ValueError("heldout is 0 and tasksets is empty: nothing would be asked; raise one, or name the other")
        if self.heldout == 0 and self.unseen:
            raise ValueError(f"heldout is 0 and unseen {self.unseen}: set unseen to 0 too, or raise heldout")
        return self

    @model_validator(mode="after")
    def _harness_has_names_of_its_own(self):
        names = self.harness.tasks if self.harness else []
        if taken := [name for name in names if name in sets.TAKEN or names.count(name) > 1]:
            raise ValueError(f"harness.tasks: {taken[0]!r} is there twice, or is what an evaluation calls its own part")
        return self

    @model_validator(mode="after")
    def _k_within_samples(self):
        if max(self.k) > self.samples:
            raise ValueError(f"k is {self.k}: pass@{max(self.k)} needs samples of at least {max(self.k)}")
        if self.samples > 1 and self.generation.temperature == 0:
            raise ValueError(f"samples is {self.samples} with generation.temperature 0: all would be equal; raise it")
        return self

    @property
    def answers_at_once(self) -> int:
        """Completions that are generated side by side."""
        return self.generation.batch_size

    @property
    def longest_row(self) -> int:
        """The longest row in one forward pass, in tokens: what the estimate of memory goes by."""
        return 256 + self.generation.max_new_tokens  # a prompt of the katas and its completion
