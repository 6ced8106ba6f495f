"""A GGUF file in llama.cpp against the merged model in transformers: tokens, rendered chats, answers, perplexity."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path
from typing import Any

import torch

from nbcore import config as configs
from nbcore.chat import template
from nbcore.chat.frame import control_tokens, rendered
from nbcore.training.export import gguf, llama_cpp, logits, merge

AGREEMENT = {"f32": 1.0, "f16": 0.95, "bf16": 0.9}  # at least so much of the greedy answers; quantised: reported
CHANGE = {"f32": 0.001, "f16": 0.01, "bf16": 0.02, "q8_0": 0.01, "q4_k_m": 0.05}  # of the perplexity, at most
WORDS = (
    "fn main()",
    "let x = 1234;",
    "Größe 東京 🦀",
    "a\tb\r\n",
    "  \n\n   x",
    "'it''s'",
    "0xFF_u8 3.14e-10",
    "é́ ﷺ ‮abc",
)
WORDS += (
    'r#"raw"#',
    "// TODO: §",
    "::<Vec<_>>()",
    "&mut *self",
    "\u200b\u00a0",
    "1 22 333 4444",
    "",
    "#[derive(Debug)]",
)


def strings(tokenizer: Any) -> list[str]:
    """At least two hundred texts: code, prose, every kind of space, digits, rare characters, and control tokens."""
    marks = [token for token in control_tokens(tokenizer) if token][:12] or [""]
    mixed = [f"{one}{glue}{two}" for glue, (one, two) in product(("", " ", "\n"), product(WORDS[:8], WORDS[8:]))]
    marked = [f"{mark}{word}{marks[0]}" for mark, word in product(marks, WORDS[:4])]
    return list(dict.fromkeys([*logits.TEXTS, *WORDS, *marked, *mixed]))[:256]


class Reference:
    """What transformers makes of the measuring texts, so that its model need not stay in memory beside llama.cpp."""

    def __init__(self, model: Path, data: dict[str, Any], config: Any, device: str, doing: merge.Doing = merge.quiet):
        tokenizer = data["tokenizer"]
        loaded = logits.adapted(model, None, config.model.dtype, False, device)
        greedy = configs.Generation(**{**config.generation.model_dump(), "temperature": 0.0})
        count = len(data["prompts"])
        doing("greedy answers of the merged model", 0, count)
        self.stops = template.stop_ids(tokenizer, loaded.generation_config)
        self.answers = [
            _until(ids, self.stops) for ids in greedy_ids(loaded, data["prompts"], greedy, self.stops, doing)
        ]
        rows = [tokenizer.encode(document_text(row)) for row in data["documents"]]
        self.rows = [row[: config.max_tokens] for row in rows if len(row) > 1]
        self.nll = _nll(loaded, self.rows)


def document_text(document: dict[str, Any]) -> str:
    """The text of a held-out document."""
    return document["text"]


@torch.inference_mode()
def greedy_ids(
    model: Any, prompts: list[list[int]], settings: Any, stops: list[int], doing: merge.Doing
) -> list[list[int]]:
    """Greedy answers, one prompt at a time: padding beside another prompt changes a number in the last digit."""
    answers = []
    for done, ids in enumerate(prompts, 1):
        row = torch.tensor([ids], device=model.device)
        made = model.generate(
            input_ids=row,
            attention_mask=torch.ones_like(row),
            max_new_tokens=settings.max_new_tokens,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            repetition_penalty=1.0,
            eos_token_id=stops,
            pad_token_id=stops[0],
        )
        answers.append(made[0, len(ids) :].tolist())
        doing("greedy answers of the merged model", done, len(prompts))
    return answers


def _until(ids: list[int], stops: list[int]) -> list[int]:
    end = next((place for place, token in enumerate(ids) if token in stops), len(ids))
    return ids[:end]


@torch.inference_mode()
def _nll(model: Any, rows: list[list[int]]) -> float:
    """Mean negative log-likelihood of a token."""
    total, tokens = 0.0, 0
    for row in rows:
        scores = model(input_ids=torch.tensor([row], device=model.device)).logits[0, :-1].float().log_softmax(-1).cpu()
        total -= float(scores.gather(1, torch.tensor(row[1:])[:, None]).sum())
        tokens += len(row) - 1
    return total / max(1, tokens)


def check(
    path: Path,
    kind: str,
    tokenizer: Any,
    chats: list[list[dict]],
    prompts: list[list[int]],
    reference: Reference,
    doing: merge.Doing = merge.quiet,
) -> tuple[dict[str, Any], list[str]]:
    """(numbers, problems) of one GGUF file in llama.cpp. Raises llama_cpp.Missing without xllamacpp."""
    values = gguf.metadata(path)
    longest = max([len(row) for row in (*prompts, *reference.rows)] or [0])
    told = {
        "bytes": path.stat().st_size,
        "pre_tokenizer": values.get("tokenizer.ggml.pre"),
        "tensors": values["tensors"],
    }
    with llama_cpp.serving(path, max(512, longest + 2 * 64), exact=True) as server:  # what differs is the file's
        tokens, problems = tokens_parity(server, tokenizer, chats, path.name, values)
        told["tokenizer"] = tokens
        if problems:
            return told, problems  # with other tokens everything else would differ for that reason
        told["greedy"] = greedy_parity(server, prompts, reference, doing, path.name)
        if reference.rows:
            told["perplexity"] = perplexity_change(server, reference, doing, path.name)
    agreement = told["greedy"]["agreement"]
    if agreement < AGREEMENT.get(kind, 0.0):
        problems.append(f"{path.name}: only {agreement:.1%} of the greedy answers agree with the merged model's")
    change = told.get("perplexity", {}).get("change", 0.0)
    told["within"] = abs(change) <= CHANGE[kind]
    if not told["within"] and kind in AGREEMENT:
        problems.append(f"{path.name}: its perplexity differs by {change:+.2%} from the merged model's")
    return told, problems


def tokens_parity(
    server: llama_cpp.Server, tokenizer: Any, chats: list[list[dict]], name: str, values: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Whether llama.cpp tokenises and renders as the model's own tokenizer does, in numbers and problems."""
    problems, same = [], 0
    texts = strings(tokenizer) + [rendered(tokenizer, chat, add_generation_prompt=True) for chat in chats]
    first = None
    for text in texts:
        here = tokenizer.encode(text, add_special_tokens=False)
        there = _tokenised(server, text)
        same += here == there
        if here != there and first is None:
            words = f"{there[:12]} in llama.cpp" if isinstance(there, list) else there
            first = f"{text[:40]!r} is {here[:12]} in transformers and {words}"
    if first:
        pre = values.get("tokenizer.ggml.pre")
        problems.append(
            f"{name}: {len(texts) - same} of {len(texts)} texts are tokenised otherwise than by the model's tokenizer "
            f"(its pre-tokenizer is {pre!r}): {first}"
        )
    alike = 0
    for chat in chats:
        there = server.ask("/apply-template", messages=chat)["prompt"]
        here = rendered(tokenizer, chat, add_generation_prompt=True)
        alike += there in (here, here.removeprefix(tokenizer.bos_token or "\0"))
    if alike < len(chats):
        problems.append(
            f"{name}: {len(chats) - alike} of {len(chats)} chats are rendered otherwise than by the chat template"
        )
    ends = values.get("tokenizer.ggml.eos_token_id")
    if ends is not None and ends not in template.stop_ids(tokenizer):
        problems.append(f"{name}: its end of sequence is token {ends}, which ends no turn of this model")
    return {"same": same, "of": len(texts), "chats": alike}, problems


def _tokenised(server: llama_cpp.Server, text: str) -> list[int] | str:
    """A text as llama.cpp's ids; what it said, where its vocabulary has no place for a byte and it refuses."""
    try:
        return server.ask("/tokenize", content=text, add_special=False, parse_special=True)["tokens"] if text else []
    except ValueError as error:
        return f"refused by {error}"


def greedy_parity(
    server: llama_cpp.Server, prompts: list[list[int]], reference: Reference, doing: merge.Doing, name: str
) -> dict[str, Any]:
    """Share of the tokens of greedy answers that agree, each answer up to its first difference."""
    agreed, total, whole = 0, 0, 0
    for done, (ids, expected) in enumerate(zip(prompts, reference.answers, strict=True), 1):
        wanted = max(1, len(expected))
        made = server.ask(
            "/completion",
            prompt=ids,
            n_predict=wanted,
            temperature=0.0,
            top_k=1,
            return_tokens=True,
            cache_prompt=False,
        )
        there = _until(made["tokens"], reference.stops)
        common = next(
            (n for n, (a, b) in enumerate(zip(expected, there, strict=False)) if a != b), min(len(expected), len(there))
        )
        agreed, total = agreed + common, total + len(expected)
        whole += there == expected
        doing(f"greedy answers of {name}", done, len(prompts))
    return {"prompts": len(prompts), "tokens": total, "agreement": agreed / total if total else 1.0, "identical": whole}


def perplexity_change(
    server: llama_cpp.Server, reference: Reference, doing: merge.Doing, name: str
) -> dict[str, float]:
    """Perplexity in llama.cpp beside that in transformers, over the same tokens.

    The server tells the likelihood of a token that it emits. So each token of a document is asked for by itself, with a
    bias that makes it the one that is emitted; the likelihood that is told is the one before the bias.
    """
    total, count = 0.0, 0
    for done, row in enumerate(reference.rows, 1):
        for place in range(1, len(row)):
            made = server.ask(
                "/completion",
                prompt=row[:place],
                n_predict=1,
                temperature=0.0,
                n_probs=1,
                logit_bias=[[row[place], 1000.0]],
                cache_prompt=True,
                return_tokens=True,
            )
            emitted = made["completion_probabilities"][0]
            assert emitted["id"] == row[place], f"{name}: asked for {row[place]}, got {emitted['id']}"
            total, count = total - emitted["logprob"], count + 1
        doing(f"perplexity of {name}", done, len(reference.rows))
    here, there = math.exp(reference.nll), math.exp(total / max(1, count))
    return {"tokens": count, "transformers": here, "llama_cpp": there, "change": there / here - 1}
