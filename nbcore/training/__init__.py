"""What every trainer shares: load, lora, memory, generate, rollout, fit."""

import logging

import datasets
import transformers

# Bars over a thousand rows and a hint about an optional kernel would bury the curve that a notebook is watched for.
datasets.disable_progress_bars()
transformers.utils.logging.disable_progress_bar()
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
