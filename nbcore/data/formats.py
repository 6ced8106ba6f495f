"""The one reader of the files that people bring, under the name that data has for it.

It stands in `nbcore.core.formats`, the lowest floor, because task sets and runs read through it, too.
"""

from nbcore.core.formats import SetAside, Unreadable, files, format_of, read, revision

__all__ = ["SetAside", "Unreadable", "files", "format_of", "read", "revision"]
