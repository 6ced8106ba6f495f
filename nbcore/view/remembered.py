"""What a person set in a notebook's panel, kept in a YAML file of dotted paths, so that it outlives the kernel."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from nbcore import config as configs
from nbcore.config.knobs import change, leaves, plain
from nbcore.core import plain_yaml


class Remembered:
    """Overrides in a YAML file, written durably at every change, so that a killed kernel loses nothing."""

    def __init__(self, path: Path | None):
        self.path = Path(path) if path else None
        self.values: dict[str, Any] = {}
        self.complaints: list[str] = []

    def apply(self, config: configs.Phase) -> configs.Phase:
        """`config` with every valid remembered override laid over it. An invalid one is named in `complaints`."""
        try:
            if self.path is None or not self.path.is_file():
                return config
            saved = plain_yaml.read(self.path) or {}
            if not isinstance(saved, dict):
                raise ValueError(f"{self.path}: holds {type(saved).__name__}, not a mapping of field: value")
        except (ValueError, OSError) as error:
            self.complaints.append(f"what was remembered is ignored: {error}")
            return config
        known = leaves(config)
        for path, value in saved.items():
            try:
                if path not in known:
                    raise ValueError(f"unknown field {path!r}")
                config = change(config, path, value)
                self.values[path] = value
            except ValueError as error:
                self.complaints.append(f"a remembered value is ignored: {error}")
        return config

    def put(self, path: str, value: Any, original: Any) -> None:
        """Remember one value, or forget it where it equals `original`, the config's own. Raises OSError where the file
        cannot be written; the next call then writes this value as well."""
        if value == original:
            self.values.pop(path, None)
        else:
            self.values[path] = plain(value)
        self._write()

    def forget(self) -> None:
        """Forget all values and delete the file. Raises OSError where it cannot be deleted."""
        self.values, self.complaints = {}, []
        if self.path:
            self.path.unlink(missing_ok=True)

    def _write(self) -> None:
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.new")
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.write("# Overrides set in the notebook's panel; delete this file to forget them.\n")
                file.write(plain_yaml.dump(self.values))
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)  # a full disk may have cut it short
            raise
