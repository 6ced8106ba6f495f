"""From messages to token ids and loss masks."""
