"""A phase's configuration: one frozen, closed, typed model; load, overlay, dump, digest.

YAML is the only source of values. Overrides are laid over it before validation, so a wrong name or a wrong
type is the same clear error wherever it comes from. Longer than most modules because it is a table: every
field of every phase with its bounds and its help text, which the tables, widgets and sweeps are views of.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

Count = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class Closed(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=())

    @field_validator("*", mode="before")
    @classmethod
    def _no_yaml_booleans(cls, value: Any, info) -> Any:
        # YAML 1.1 reads `on` and `yes` as booleans, and Python counts True as 1: 'batch_size: on' must not mean 1.
        if isinstance(value, bool) and "bool" not in str(cls.model_fields[info.field_name].annotation):
            raise ValueError(f"is the YAML boolean {value}, which this field does not take; quote it or give a number")
        return value


class Model(Closed):
    """Which base model, and how it is held in memory."""

    base: str | None = None
    """'seedling', a local folder or a Hub id. Empty: the parent's base, or the seedling where there is no parent."""
    revision: str | None = None
    """Commit of a Hub model; a training result is only reproducible with one."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """Weights and compute: float32 on a CPU, float16 on a T4, bfloat16 from Ampere on."""
    quantization: Literal["none", "nf4"] = "none"
    """nf4: 4-bit NormalFloat with double quantisation (QLoRA); the adapter stays in full precision."""
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    """Attention kernel. gpt-oss has no sdpa: use eager there."""
    dequantize_mxfp4: bool = False
    """gpt-oss is published in MXFP4, which cannot be trained: True expands it to `dtype` on loading."""


class Lora(Closed):
    """The adapter. One adapter travels the whole chain: rank and targets are settled where it is first made."""

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
    after the other), 'copies' (repeat-after-me chats),
    'rust-src' (the standard library's source, where the machine has it), or a .jsonl file of {"id", "text"}."""
    max_tokens: Count = 192
    """A longer document is cut to this many tokens; the cut is counted and shown."""


class Tasks(Closed):
    """Rust tasks with hidden tests."""

    source: str = "katas"
    """'katas', or a .jsonl file of tasks."""
    undemonstrated: bool = False
    """Only tasks that SFT was shown no solution of: there tests can teach what demonstrations did not."""
    limit: Count | None = None
    """Use only so many, drawn with the run's seed."""


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

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")] = "run"
    """Goes into the run's folder name; usually the profile."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of data order, initialisation, dropout and sampling."""
    model: Model = Model()
    """Base model and precision."""
    sandbox: Sandbox = Sandbox()
    """Where the model's programs run."""


class Training(Phase):
    """What every training phase has."""

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
    gradient_checkpointing: bool = False
    """Trade compute for memory: recompute activations in the backward pass."""
    save_steps: Count = 50
    """A committed checkpoint every so many steps: what a lost runtime costs at most."""
    keep_every: Count | None = None
    """Milestones: checkpoints whose step is a multiple of this stay, beside the newest two and the best."""
    trainer: dict[str, Any] = {}
    """Escape hatch: handed to the TRL config, which checks it."""

    @property
    def effective_batch(self) -> int:
        """Rows in one optimizer step."""
        return self.batch_size * self.gradient_accumulation


class Stage(NamedTuple):
    """One stage of the sequence-length curriculum."""

    length: int
    steps: int


class Pretrain(Training):
    """Train a small causal LM from scratch on Rust documents, one document a row."""

    phase: Literal["pretrain"] = "pretrain"
    """Names the phase."""
    architecture: dict[str, Any] = {}
    """Fields of transformers' LlamaConfig: hidden_size, num_hidden_layers, …"""
    vocab_size: Annotated[int, Field(ge=300)] | None = None
    """Train a tokenizer of this size on the documents. Empty: the seedling's tokenizer."""
    corpus: Corpus = Corpus(sources={"katas": 2000, "copies": 500})
    """Training documents."""
    validation_documents: Count = 200
    """Held-out documents (katas of unseen compositions) for the evaluation loss."""
    stages: list[Annotated[Stage, Field(description="[length, steps]")]] = []
    """Sequence-length curriculum: [[length in tokens, steps], …]; max_steps cuts it, or goes on with
    the last length. Empty: one stage."""

    @model_validator(mode="after")
    def _stages_fit_the_rows(self):
        if any(stage.length < 8 or stage.steps < 1 for stage in self.stages):
            raise ValueError(f"stages is {self.stages}: each needs a length of at least 8 tokens and at least 1 step")
        if any(stage.length > self.corpus.max_tokens for stage in self.stages):
            raise ValueError(
                f"stages is {self.stages}: longer than corpus.max_tokens {self.corpus.max_tokens}; raise it"
            )
        return self

    @model_validator(mode="after")
    def _starts_from_nothing(self):
        if self.model != Model(dtype=self.model.dtype):
            raise ValueError("model: pretrain makes a new model; of this section only dtype means something here")
        return self


class LangAdapter(Training):
    """Continue pretraining on Rust through LoRA (QLoRA with model.quantization: nf4)."""

    phase: Literal["lang_adapter"] = "lang_adapter"
    """Names the phase."""
    lora: Lora = Lora()
    """The adapter this phase creates."""
    corpus: Corpus = Corpus()
    """Training documents."""
    validation_documents: Count = 200
    """Held-out documents of each source, at most, for the evaluation loss."""


class Sft(Training):
    """Teach instruction → function; the loss falls on the assistant's tokens only."""

    phase: Literal["sft"] = "sft"
    """Names the phase."""
    lora: Lora | None = None
    """A fresh adapter, for a parent that has none. Empty: the parent's goes on, or a default one is made."""
    rows: str = "katas"
    """'katas' (its demonstrated training tasks), or a .jsonl file of rows."""
    limit: Count | None = None
    """Use only so many rows, drawn with the run's seed."""
    max_length: Count = 256
    """Rows with more tokens are dropped, counted and shown."""
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the rows held out for validation, chosen by a hash of the row id."""
    patience: Count = 2
    """Stop after so many epochs without a lower validation loss; the best checkpoint is kept."""


def _needs_temperature(generation: Sampling) -> Sampling:
    if generation.temperature == 0:
        raise ValueError("temperature 0 draws the same completion every time, and equal ones teach nothing; raise it")
    return generation


class Ipo(Training):
    """Prefer programs that pass over programs that do not: IPO on graded rollouts of the parent."""

    phase: Literal["ipo"] = "ipo"
    """Names the phase."""
    tasks: Tasks = Tasks(limit=300)
    """Tasks the rollouts are drawn on."""
    rollouts: Annotated[int, Field(ge=2)] = 8
    """Completions sampled for each task."""
    jobs: Count = 2
    """Programs graded at once."""
    pairs_per_task: Count = 2
    """At most so many (chosen, rejected) pairs from one task."""
    generation: Generation = Generation(temperature=1.0)
    """How rollouts are drawn."""
    _differing = field_validator("generation")(_needs_temperature)
    loss_type: Literal["ipo", "sigmoid", "hinge"] = "ipo"
    """TRL's name of the preference loss."""
    beta: Positive = 0.1
    """IPO's tau. The loss is (margin − 1/(2·beta))², the margin being per token: do not copy DPO's value."""
    max_length: Count = 320
    """Tokens of prompt and completion; longer pairs are dropped and counted."""


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


class Grpo(Training):
    """Reinforcement learning on the verdict of the real compiler and hidden tests."""

    phase: Literal["grpo"] = "grpo"
    """Names the phase."""
    tasks: Tasks = Tasks()
    """Prompts with hidden tests; no demonstrations are used."""
    group_size: Annotated[int, Field(ge=2)] = 8
    """Completions per prompt, among which the advantage is computed. batch_size × gradient_accumulation completions
    make one optimizer step, so that many divided by group_size prompts."""
    generation: Sampling = Sampling(temperature=1.0)
    """How completions are drawn."""
    _differing = field_validator("generation")(_needs_temperature)
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


class Evaluate(Phase):
    """Compile rate, pass@k, lints and perplexity of any run, with intervals."""

    phase: Literal["evaluate"] = "evaluate"
    """Names the phase."""
    source: str = "katas"
    """'katas', or a .jsonl file of tasks."""
    heldout: Count = 300
    """Tasks of unseen compositions; of a file, the first so many in the order of the seed."""
    unseen: Annotated[int, Field(ge=0)] = 100
    """Tasks of unseen families, reported apart; a file has none."""
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

    @model_validator(mode="after")
    def _k_within_samples(self):
        if max(self.k) > self.samples:
            raise ValueError(f"k is {self.k}: pass@{max(self.k)} needs samples of at least {max(self.k)}")
        if self.samples > 1 and self.generation.temperature == 0:
            raise ValueError(f"samples is {self.samples} with generation.temperature 0: all would be equal; raise it")
        return self


Any_ = Annotated[Pretrain | LangAdapter | Sft | Ipo | Grpo | Evaluate, Field(discriminator="phase")]
PHASES: dict[str, type[Phase]] = {cls.model_fields["phase"].default: cls for cls in get_args(get_args(Any_)[0])}

OPEN = ("trainer", "architecture", "sources")  # fields that are themselves mappings: an override replaces them whole

# Whose newest run a phase starts from when no parent is named; the base model where None.
PARENTS: dict[str, str | None] = {
    "pretrain": None,
    "lang_adapter": None,
    "sft": "lang_adapter",
    "ipo": "sft",
    "grpo": "ipo",
    "evaluate": None,
}


def load(
    source: str | Path | Mapping | Phase, *overrides: Mapping | list[str] | None, knobs: Mapping | None = None
) -> Phase:
    """Read a config and lay overrides over it, then knobs.

    `overrides` are mappings, nested or with dotted keys, or lists of "a.b=value" whose values are read as YAML.
    `knobs` is a mapping in which None means "as in the YAML".
    Raises ValueError naming the field, the value and the remedy; a missing file raises FileNotFoundError.
    """
    where = "the config"
    if isinstance(source, Phase):
        values = source.model_dump(mode="json")
    elif isinstance(source, Mapping):
        values = json.loads(json.dumps(source))
    else:
        where = str(source)
        values = _read(Path(source))
    for override in (*overrides, {path: value for path, value in (knobs or {}).items() if value is not None}):
        for path, value in assignments(override):
            _assign(values, path, value)
    phase = values.get("phase")
    if phase not in PHASES:
        raise ValueError(f"{where}: 'phase' is {phase!r}; it must be one of {', '.join(PHASES)}")
    try:
        return PHASES[phase].model_validate(values)
    except ValidationError as error:
        raise ValueError(f"{where}: {_explain(error, PHASES[phase])}") from None


def dump(config: Phase) -> str:
    """YAML that `load` reads back to an equal config, every default written out."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def digest(config: Phase) -> str:
    """12 hex digits over every resolved value: equal configs, equal digests."""
    return hashlib.sha256(json.dumps(config.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()[:12]


class Leaf(NamedTuple):
    """One value of a config with what its schema says of it."""

    path: str
    value: Any
    annotation: Any
    bounds: dict[str, float]
    help: str


def leaves(config: Closed, prefix: str = "") -> Iterator[Leaf]:
    """Every value that is not itself a model, depth first, in the schema's order."""
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, Closed):
            yield from leaves(value, f"{prefix}{name}.")
            continue
        metadata = list(field.metadata)
        for argument in get_args(field.annotation):  # `Count | None` keeps its bounds inside the union
            metadata += getattr(argument, "__metadata__", ())
        bounds = {}
        for entry in metadata:
            for item in getattr(entry, "metadata", [entry]):
                bounds |= {k: getattr(item, k) for k in ("ge", "gt", "le", "lt") if getattr(item, k, None) is not None}
        yield Leaf(f"{prefix}{name}", value, field.annotation, bounds, field.description or "")


def _read(path: Path) -> dict:
    if not path.is_file():
        raise FileNotFoundError(f"config: no file {path}; the shipped ones are in configs/<phase>/<profile>.yaml")
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path}: holds {type(values).__name__}; a config is a mapping of field: value")
    return values


def assignments(override: Mapping | list[str] | None) -> Iterator[tuple[str, Any]]:
    """(dotted path, value) of a mapping, nested or dotted, or of a list of "a.b=value"; ValueError for any other."""
    if isinstance(override, Mapping):
        for key, value in override.items():
            if isinstance(value, Mapping) and str(key).rsplit(".", 1)[-1] not in OPEN:
                yield from ((f"{key}.{path}", inner) for path, inner in assignments(value))
            else:
                yield str(key), value
    elif isinstance(override, list | tuple):
        for text in override:
            path, equals, value = str(text).partition("=")
            if not equals:
                raise ValueError(f"overrides: {text!r} is not of the form field=value, for example max_steps=2")
            try:
                yield path.strip(), yaml.safe_load(value)
            except yaml.YAMLError:
                raise ValueError(f"overrides: {text!r}: {value!r} is not a YAML value; quote it or close it") from None
    elif override is not None:
        kind = type(override).__name__
        raise ValueError(f"overrides: {override!r} is {kind}; give a mapping such as {{max_steps: 2}}")


def _assign(values: dict, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for name in parents:
        if values.get(name) is None:
            values[name] = {}
        inner = values[name]
        if not isinstance(inner, dict):
            raise ValueError(f"overrides: {path!r}: {name!r} is a single value, it has no field inside")
        values = inner
    values[last] = value


def _explain(error: ValidationError, phase: type[Phase]) -> str:
    """One line: field, value, remedy, for the first problem (and how many more there are)."""
    problems = error.errors()
    first = problems[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        model: Any = phase
        for part in first["loc"][:-1]:
            model = model.model_fields[part].annotation
            model = next((kind for kind in get_args(model) if kind is not type(None)), model)  # of `X | None`, X
        text = f"unknown field '{field}'; known here: {', '.join(model.model_fields)}"
    else:
        message = first["msg"].removeprefix("Value error, ")
        text = f"'{field}' is {first['input']!r}: {message}" if field else message
    return text + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else "")
