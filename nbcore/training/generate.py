"""Completions in batches: the one way in which every phase lets a model speak."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList, set_seed

from nbcore import config as configs
from nbcore.chat import template
from nbcore.core.records import Completion
from nbcore.training import logits, memory


def completion(tokenizer: Any, ids: list[int], stops: list[int] | None = None) -> Completion:
    """What a model answered, from the ids that it emitted after the prompt; `stops` as in `template.answer`."""
    ends = template.stop_ids(tokenizer) if stops is None else stops
    tokens = next((index + 1 for index, token in enumerate(ids) if token in ends), len(ids))
    return Completion(**template.read(tokenizer, ids, stops)._asdict(), tokens=tokens)


class _EachToken(StoppingCriteria):
    """Stops nothing: transformers asks it after every token, which is how far a batch is."""

    def __init__(self, tell: Callable[[int], None]):
        self.tell = tell

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        self.tell(input_ids.shape[1])
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


@torch.inference_mode()
def generate(
    model: Any,
    tokenizer: Any,
    prompts: list[list[int]],
    generation: configs.Generation,
    seed: int = 0,
    progress: Callable[[float], None] = lambda done: None,
    finished: Callable[[list[int], list[Completion]], None] = lambda indices, answers: None,
) -> list[Completion]:
    """One completion for each prompt (token ids), in order; deterministic in the seed on one machine.

    Prompts of like length share a batch: padding costs, and left padding keeps positions right. Where memory runs out
    the batches are halved. `progress` is called after every token with how many are done, those of
    the batch in hand counted by the share of `max_new_tokens` that they have; `finished` after every batch, with the
    indices of its prompts and their completions.
    A completion ends at the first token that publisher, tokenizer or template name as an end, and not later.
    """
    set_seed(seed)
    model.eval()
    stops = template.stop_ids(tokenizer, model.generation_config)
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    answers: list[Completion | None] = [None] * len(prompts)
    sampling = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    if generation.temperature > 0:
        sampling = {"do_sample": True, "temperature": generation.temperature, "top_p": generation.top_p, "top_k": 0}

    def watch(count: int, width: int) -> StoppingCriteriaList:
        done = sum(answer is not None for answer in answers)
        return StoppingCriteriaList(
            [_EachToken(lambda length: progress(done + count * (length - width) / (generation.max_new_tokens + 1)))]
        )

    def complete(chosen: list[int]) -> None:
        width = max(len(prompts[index]) for index in chosen)
        ids = torch.full((len(chosen), width), tokenizer.pad_token_id)
        mask = torch.zeros((len(chosen), width), dtype=torch.long)
        for row, index in enumerate(chosen):
            ids[row, width - len(prompts[index]) :] = torch.tensor(prompts[index])
            mask[row, width - len(prompts[index]) :] = 1
        with logits.finite(model):
            output = model.generate(
                input_ids=ids.to(model.device),
                attention_mask=mask.to(model.device),
                max_new_tokens=generation.max_new_tokens,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=stops,
                stopping_criteria=watch(len(chosen), width),
                **sampling,
            )
        for index, tokens in zip(chosen, output[:, width:].tolist(), strict=True):
            answers[index] = completion(tokenizer, tokens, stops)
        finished(chosen, [answers[index] for index in chosen])

    for done in memory.in_batches(order, generation.batch_size, complete):
        progress(done)
    return answers
