"""The parts that the configs of several phases share: closed, typed models with bounds and help.

Longer than usual because each field is followed by its help, which tables and panels show.
"""

from __future__ import annotations

import datetime
import json
import re
from typing import Annotated, Any, ClassVar, Literal, get_origin

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from nbcore.config.prompt_form import PromptForm

BUILT_IN = ("katas", "files", "copies", "calls", "rust-src")  # sources of tasks and rows; any other is a file
Count = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Overlong = Literal["drop", "truncate", "raise"]
Packing = Literal["none", "bfd_split"]
Positive = Annotated[float, Field(gt=0)]


NAMING = ("base", "start", "source", "sources", "name", "rows", "pairs", "protect", "data_run", "tasksets")
LONGEST_PART, LONGEST = 255, 4095  # bytes of a part of a path, and of a whole one


class Closed(BaseModel):
    """A model whose values cannot be changed and in which an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        protected_namespaces=(),
        allow_inf_nan=False,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _finite_inside_open_mappings(cls, value: Any, info) -> Any:
        # allow_inf_nan refuses these where a field has a type; the values in trainer and architecture have none.
        if "Any" in str(cls.model_fields[info.field_name].annotation):
            try:
                json.dumps(value, allow_nan=False, default=str)
            except ValueError:
                raise ValueError("holds a number that is NaN or infinite; give a finite one") from None
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _names_that_a_disk_can_hold(cls, value: Any, info) -> Any:
        # A longer one, such as rows pasted in the place of their file, ends in an OSError wherever it is looked for.
        names = value if isinstance(value, list | dict) else [value]
        for name in names if info.field_name in NAMING else ():
            parts = name.encode(errors="replace").split(b"/") if isinstance(name, str) else [b""]
            if max(map(len, parts)) > LONGEST_PART or sum(map(len, parts)) + len(parts) > LONGEST:
                raise ValueError(
                    f"is too long for the name of a file or a model: a part of one has at most {LONGEST_PART} "
                    f"bytes, the whole {LONGEST}; give the name of what holds it"
                )
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _no_yaml_booleans(cls, value: Any, info) -> Any:
        # YAML 1.1 reads `on` and `yes` as booleans, and Python counts True as 1: 'batch_size: on' must not mean 1.
        annotation = cls.model_fields[info.field_name].annotation
        if "bool" in str(annotation) or "Any" in str(annotation):
            return value
        if isinstance(value, bool):
            raise ValueError(f"is the YAML boolean {value}, which this field does not take; quote it or give a number")
        inside = list(value.values()) if isinstance(value, dict) else value
        if get_origin(annotation) in (list, dict) and _holds_boolean(inside):
            raise ValueError("holds a YAML boolean, which this field does not take; quote it or give a number")
        return value


def _holds_boolean(value: Any) -> bool:
    """In a list, at any depth; a mapping in it is a model of its own, whose fields are looked at there."""
    return any(map(_holds_boolean, value)) if isinstance(value, list | tuple) else isinstance(value, bool)


Optimizer = Literal[
    *("adamw_torch_fused", "adamw_torch", "adafactor", "sgd", "rmsprop", "adagrad"),
    *("adamw_8bit", "lion_8bit", "lion_32bit", "ademamix", "ademamix_8bit", "rmsprop_bnb_8bit"),
    *("paged_adamw_8bit", "paged_adamw_32bit", "paged_lion_8bit", "paged_lion_32bit", "paged_ademamix_8bit"),
]


class Model(Closed):
    """Which base model, and how it is held in memory."""

    base: str | None = None
    """'seedling', a local folder, a Hub id, or the name of one that `models fetch` brings (smollm2). Empty: the
    parent's base, or the seedling where there is no parent."""
    revision: str | None = None
    """Commit of a Hub model; a training result is only reproducible with one."""
    date: str | None = None
    """The day, as in 2025-01-31, that chat templates print which would print today's (gpt-oss, Llama 3). Empty: the
    parent's, or 2024-07-26 where there is no parent."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """Weights and compute: float32 on a CPU, float16 on a T4, bfloat16 from Ampere on."""
    quantization: Literal["none", "nf4", "mxfp4", "fp8"] = "none"
    """nf4: 4-bit NormalFloat with double quantisation (QLoRA); the adapter stays in full precision. fp8: the frozen
    base in 8-bit floats, on Hopper and through unsloth alone, since transformers does not train on one. mxfp4: the
    experts of gpt-oss stay packed as they are published, and are expanded one at a time (docs/backends.md)."""
    attention: Literal["auto", "sdpa", "eager", "flash_attention_2"] = "sdpa"
    """Attention kernel. gpt-oss has no sdpa: use eager there. flash_attention_2 comes from flash-attn, or from the
    package kernels. auto: flash attention where this machine has it and dtype is a half one, else sdpa, else eager."""
    backend: Literal["transformers", "unsloth"] = "transformers"
    """Who loads the model and makes a fresh adapter. unsloth: faster kernels on one NVIDIA GPU, an extra of its own."""
    dequantize_mxfp4: bool = False
    """gpt-oss is published in MXFP4, which transformers cannot train: True expands it to `dtype` on loading. To train
    it packed, set quantization to mxfp4 instead."""

    @field_validator("date", mode="before")
    @classmethod
    def _is_a_day(cls, value: Any) -> Any:
        if isinstance(value, datetime.date):  # YAML reads 2025-01-31 as one
            value = value.isoformat()
        if isinstance(value, str) and not re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            raise ValueError("is no day; write it as 2025-01-31")
        if isinstance(value, str):
            datetime.date.fromisoformat(value)
        return value


class Lora(Closed):
    """The adapter. All phases train the same one, so its rank and targets are those of the phase that made it."""

    rank: Annotated[int, Field(ge=1, le=512)] = 16
    """Rank r of the update B·A."""
    alpha: Positive = 32
    """Scale: the update is multiplied by alpha / rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout on the adapter's input. Must be 0 with target_parameters."""
    targets: list[str] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    """Names of the linear layers that get an adapter."""
    target_parameters: list[str] = []
    """Suffixes of fused 3-D expert parameters (gpt-oss: mlp.experts.gate_up_proj, mlp.experts.down_proj)."""
    expert_rank: Count = 8
    """Rank for target_parameters, where every expert gets its own adapter: keep it small."""

    @model_validator(mode="after")
    def _trains_something(self):
        if not self.targets and not self.target_parameters:
            raise ValueError("targets and target_parameters are both empty, so nothing would train; name a layer")
        return self

    @model_validator(mode="after")
    def _experts_take_no_dropout(self):
        if self.target_parameters and self.dropout:
            raise ValueError(
                f"dropout is {self.dropout}: PEFT cannot drop out on target_parameters; set lora.dropout=0"
            )
        return self


class Corpus(Closed):
    """Documents for language modelling."""

    sources: Annotated[dict[str, Count], Field(min_length=1)] = {"katas": 2000}
    """How many documents to draw from where: 'katas' (generated Rust functions), 'files' (two of them, one
    after the other), 'copies' (chats that ask to repeat a name or a function), 'calls' (to copy one with tools),
    'rust-src' (the standard library's source, where the machine has it), or a .jsonl file of {"id", "text"}."""
    max_tokens: Count = 192
    """The longest row, in tokens."""
    overlong: Overlong = "truncate"
    """What happens to a longer document: 'drop' leaves it out, 'truncate' keeps its beginning (with packing it is split
    over rows instead, and nothing is cut), 'raise' ends in an error that names it. All are counted and shown."""
    fim_rate: Fraction = 0.0
    """Share of the text documents that are told as fill-in-the-middle (prefix, suffix, then the middle): 0.5 is usual.
    Chats and held-out documents never are, nor is what would not fit a row with its marks."""


class Tasks(Closed):
    """Rust tasks with hidden tests."""

    source: str = "katas"
    """'katas', or a file or folder of tasks."""
    undemonstrated: bool = False
    """Only tasks that SFT was shown no solution of: there tests can teach what demonstrations did not."""
    limit: Count | None = None
    """Use only so many, drawn with the run's seed."""


class Asking(Closed):
    """What every phase has that puts tasks to a model."""

    prompt_form: PromptForm = None
    """How a task is put into words: 'bare' (its prompt alone), 'chat' (says the language, carries the signature, asks
    for one ```rust block), or a template of your own with {prompt}, {signature} and {language}. Empty: the parent's,
    where it names one; else bare for the seedling and what pretrain leaves, chat for any other base."""


class Sampling(Closed):
    """How a completion is drawn from a model."""

    max_new_tokens: Count = 160
    """Cut a completion after this many tokens."""
    temperature: Annotated[float, Field(ge=0, le=5)] = 0.0
    """0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus sampling."""


class Generation(Sampling):
    """Sampling, many prompts at a time."""

    batch_size: Count = 64
    """Prompts generated side by side."""


class Sandbox(Closed):
    """What to do where the machine cannot hold what the sandbox promises."""

    allow_degraded: bool = False
    """Run the model's code all the same, and say so in every report."""


class Phase(Closed):
    """What every phase has."""

    ADDED: ClassVar[tuple[str, ...]] = ("model.date", "model.backend")
    """Fields that came after the first runs: `digest` leaves them out where they have their default."""
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")] = "run"
    """Goes into the run's folder name; usually the profile."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of data order, initialisation, dropout and sampling."""
    model: Model = Model()
    """Base model and precision."""
    sandbox: Sandbox = Sandbox()
    """Where the model's programs run."""


class Training(Phase):
    """What every training phase has."""

    ADDED = (*Phase.ADDED, "optimizer", "compile")
    TOLD: ClassVar[str] = "SFTConfig"
    """The name of the TRL config that a run makes, which `trainer` is a part of."""
    max_steps: Count = 100
    """Optimizer steps at most."""
    learning_rate: Positive = 2e-4
    """Peak learning rate of AdamW."""
    batch_size: Count = 16
    """Rows in one forward pass."""
    gradient_accumulation: Count = 1
    """Forward passes in one optimizer step; batch_size × this is the effective batch."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the steps over which the learning rate rises."""
    min_lr_ratio: Fraction = 0.1
    """Floor of the cosine schedule, as a share of the peak."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """AdamW's decoupled weight decay."""
    optimizer: Optimizer = "adamw_torch_fused"
    """By the name that transformers knows; these run with what is installed, any other is trainer's `optim`. adamw_8bit
    keeps its state in a quarter of the memory; paged_ ones move it to main memory where a GPU is full."""
    compile: bool = False
    """Compile the model with torch.compile: the first steps take minutes, later ones less. Needs a C compiler."""
    gradient_checkpointing: bool = False
    """Trade compute for memory: recompute activations in the backward pass."""
    save_steps: Count = 50
    """A committed checkpoint every so many steps: what a lost runtime costs at most."""
    keep_every: Count | None = None
    """Milestones: checkpoints whose step is a multiple of this stay, beside the newest two and the best."""
    trainer: dict[str, Any] = {}
    """Any other fields of the TRL config, which checks them."""

    @property
    def effective_batch(self) -> int:
        """Rows in one optimizer step."""
        return self.batch_size * self.gradient_accumulation

    @property
    def rows_at_once(self) -> int:
        """Rows in one forward pass of the model: what the plan of memory goes by."""
        return self.batch_size

    @property
    def logits_at_once(self) -> int | None:
        """Tokens of each row whose logits are in memory together; None where the loss takes them in chunks."""
        return None

    @property
    def has_reference(self) -> bool:
        """Whether a frozen copy of the adapter stays in memory."""
        return False

    @property
    def answers_at_once(self) -> int:
        """Completions that are generated side by side; 0 where none are."""
        return 0


class AdapterTraining(Training):
    """What every phase has that goes on training the parent's adapter."""

    lora: Lora | None = None
    """The adapter to make where the parent has none; empty: one with the defaults. A parent's is trained further."""


def needs_temperature(generation: Sampling) -> Sampling:
    if generation.temperature == 0:
        raise ValueError("temperature 0 draws the same completion every time, and equal ones teach nothing; raise it")
    return generation
