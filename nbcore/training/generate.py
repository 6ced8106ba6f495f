"""Completions in batches: the one way in which every phase lets a model speak."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList, set_seed

from nbcore import config as configs
from nbcore.chat import template
from nbcore.core.records import Completion
from nbcore.training import logits, memory, past


def completion(tokenizer: Any, ids: list[int], stops: list[int] | None = None, bare: bool = False) -> Completion:
    """What a model answered, from the ids that it emitted after the prompt; `stops` as in `template.answer`, `bare` as
    in `generate`."""
    ends = template.stop_ids(tokenizer) if stops is None else stops
    tokens = next((index + 1 for index, token in enumerate(ids) if token in ends), len(ids))
    read = template.gone_on if bare else template.read
    return Completion(**read(tokenizer, ids, ends)._asdict(), tokens=tokens)


class _EachToken(StoppingCriteria):
    """Stops nothing: transformers asks it after every token, which is how far a batch is."""

    def __init__(self, tell: Callable[[int], None]):
        self.tell = tell

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        self.tell(input_ids.shape[1])
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


class _Shrink(StoppingCriteria):
    """Stops a batch as soon as a quarter of its rows have ended, so that it goes on without them."""

    def __init__(self, stops: list[int], device: Any):
        self.stops, self.over = torch.tensor(stops, device=device), False

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        self.over = torch.isin(input_ids[:, -1], self.stops) | self.over
        return (4 * self.over.sum() >= len(input_ids)).expand(len(input_ids))


class _LogProbs(LogitsProcessor):
    """Changes nothing: keeps how likely each sampled token was, without keeping all scores of a batch."""

    def __init__(self, temperature: float):
        self.temperature = temperature or 1.0
        self.taken: list[torch.Tensor] = []
        self.latest: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.take(input_ids[:, -1])
        self.latest = torch.log_softmax(scores.float() / self.temperature, dim=-1)
        return scores

    def take(self, sampled: torch.Tensor) -> None:
        """The tokens that were drawn by the latest scores."""
        if self.latest is not None:
            self.taken.append(self.latest.gather(1, sampled[:, None]))


class Sampled(NamedTuple):
    """The ids that a model emitted after a prompt, up to and with the first that ends its turn."""

    ids: list[int]
    logprobs: list[float] | None
    """Of each id, at the temperature it was drawn with; None where they were not asked for."""
    seconds: float
    """Its share of the time that its batch took."""


def generate(
    model: Any,
    tokenizer: Any,
    prompts: list[list[int]],
    generation: configs.Generation,
    seed: int = 0,
    progress: Callable[[float], None] = lambda done: None,
    finished: Callable[[list[int], list[Completion]], None] = lambda indices, answers: None,
    bare: bool = False,
) -> list[Completion]:
    """One completion for each prompt (token ids), in order, as `sample` draws them. `bare` prompts are text to go on
    from, not in the frame of a chat template.

    `finished` is called after every batch, with the indices of its prompts and their completions. A completion ends at
    the first token that publisher, tokenizer or template name as an end, and not later.
    """
    stops = template.stop_ids(tokenizer, model.generation_config)
    answers: list[Completion | None] = [None] * len(prompts)

    def read(indices: list[int], drawn: list[Sampled]) -> None:
        for index, one in zip(indices, drawn, strict=True):
            answers[index] = completion(tokenizer, one.ids, stops, bare) | {"seconds": one.seconds}
        finished(indices, [answers[index] for index in indices])

    sample(model, tokenizer, prompts, generation, stops, seed, progress, read)
    return answers


@torch.inference_mode()
def sample(
    model: Any,
    tokenizer: Any,
    prompts: list[list[int]],
    generation: configs.Generation,
    stops: list[int],
    seed: int = 0,
    progress: Callable[[float], None] = lambda done: None,
    finished: Callable[[list[int], list[Sampled]], None] = lambda indices, drawn: None,
    logprobs: bool = False,
    pasts: Sequence[past.Past] = (),
) -> list[Sampled]:
    """What a model emits after each prompt (token ids), in order; deterministic in the seed on one machine.

    Prompts of like length share a batch: padding costs, and left padding keeps positions right. Where memory runs out
    the batches are halved. `progress` is called after every token with how many are done, those of the batch in hand
    counted by the share of `max_new_tokens` that they have; `finished` after every batch, with the indices of its
    prompts and what was drawn for them. `pasts`, one for each prompt, hold what the call for the turn before has read
    with the same weights, and afterwards what this one has. With them, and where nothing is drawn by chance, a batch
    shrinks as its rows end; elsewhere that would move the random numbers of the other rows.
    """
    set_seed(seed)
    model.eval()
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    answers: list[Sampled | None] = [None] * len(prompts)
    sampling = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    if generation.temperature > 0:
        sampling = {"do_sample": True, "temperature": generation.temperature, "top_p": generation.top_p, "top_k": 0}

    def watch(count: int, width: int) -> _EachToken:
        done = sum(answer is not None for answer in answers)
        return _EachToken(lambda length: progress(done + count * (length - width) / (generation.max_new_tokens + 1)))

    def complete(chosen: list[int]) -> None:
        width, began = max(len(prompts[index]) for index in chosen), time.monotonic()
        ids = torch.full((len(chosen), width), tokenizer.pad_token_id)
        mask = torch.zeros((len(chosen), width), dtype=torch.long)
        for row, index in enumerate(chosen):
            ids[row, width - len(prompts[index]) :] = torch.tensor(prompts[index])
            mask[row, width - len(prompts[index]) :] = 1
        ids, mask, each = ids.to(model.device), mask.to(model.device), watch(len(chosen), width)
        cache, running = past.empty(model) if pasts or not sampling["do_sample"] else None, chosen
        if pasts and cache:
            past.fill(cache, [pasts[index] for index in chosen], [prompts[index] for index in chosen])
        drawn: dict[int, tuple[list[int], list[float]]] = {index: ([], []) for index in chosen}
        while running:
            kept, before = _LogProbs(generation.temperature), ids.shape[1]
            with logits.finite(model):
                output = model.generate(
                    input_ids=ids,
                    attention_mask=mask,
                    max_new_tokens=width + generation.max_new_tokens - before,
                    use_cache=True,  # a config may say otherwise, for training
                    pad_token_id=tokenizer.pad_token_id,
                    eos_token_id=stops,
                    stopping_criteria=StoppingCriteriaList([each, _Shrink(stops, ids.device)] if cache else [each]),
                    logits_processor=LogitsProcessorList([kept] if logprobs else []),
                    **({"past_key_values": cache} if cache else {}),
                    **sampling,
                )
            kept.take(output[:, -1])
            likely = torch.cat(kept.taken, dim=1).tolist() if logprobs else [[] for _ in running]
            going = []  # rows that have not ended, where the batch has stopped for those that have
            for row, (index, tokens, said) in enumerate(zip(running, output[:, before:].tolist(), likely, strict=True)):
                end = next((place + 1 for place, token in enumerate(tokens) if token in stops), None)
                drawn[index][0].extend(tokens[:end])
                drawn[index][1].extend(said[:end])
                if end is None and output.shape[1] < width + generation.max_new_tokens:
                    going.append(row)
                elif pasts and cache:
                    whole = prompts[index] + drawn[index][0]
                    past.keep(cache, row, pasts[index], whole, width - len(prompts[index]))
            running = [running[row] for row in going]
            if running:
                cache.batch_select_indices(torch.tensor(going))
                ids, mask = output[going], torch.nn.functional.pad(mask, (0, output.shape[1] - before), value=1)[going]
        share = (time.monotonic() - began) / len(chosen)
        for index, (emitted, said) in drawn.items():
            answers[index] = Sampled(emitted, said if logprobs else None, share)
        finished(chosen, [answers[index] for index in chosen])

    for done in memory.in_batches(order, generation.batch_size, complete):
        progress(done)
    return answers
