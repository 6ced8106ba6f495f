"""Train the seedling's tokenizer: byte-level BPE with StarCoder's pre-tokeniser and Harmony's control tokens.

llama.cpp knows this pre-tokeniser under the name "starcoder": each digit alone, then byte level with its regex.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

PAD, EOS = "<|endoftext|>", "<|return|>"
CONTROL = [
    PAD,
    *(f"<|{name}|>" for name in ("start", "end", "message", "channel", "constrain", "return", "call")),
    *(f"<|fim_{name}|>" for name in ("prefix", "middle", "suffix", "pad")),
]

# Harmony's frame for plain conversations: what is stored ends in <|end|>, what is trained in <|return|>.
CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- if message.role == 'assistant' -%}
{{- '<|start|>assistant<|channel|>final<|message|>' + message.content -}}
{{- '<|return|>' if loop.last and not add_generation_prompt else '<|end|>' -}}
{%- elif message.role == 'tool' -%}
{{- '<|start|>functions.' + message.name + ' to=assistant<|channel|>commentary' -}}
{{- '<|message|>' + message.content + '<|end|>' -}}
{%- else -%}
{{- '<|start|>' + message.role + '<|message|>' + message.content + '<|end|>' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|start|>assistant' -}}{%- endif -%}
"""


def train(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A tokenizer of exactly `vocab_size` ids at most, control tokens first; deterministic in the order of texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=CONTROL,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=EOS,
        pad_token=PAD,
        extra_special_tokens=[token for token in CONTROL if token not in (PAD, EOS)],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
