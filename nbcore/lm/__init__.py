"""What every trainer shares: load, lora, memory, generate, rollout, fit."""
