"""The one reader of files that people bring, under the name that data has for it; it stands in `nbcore.core.formats`,
where task sets and runs may import it, too."""

from nbcore.core.formats import SetAside, Unreadable, files, format_of, read, revision

__all__ = ["SetAside", "Unreadable", "files", "format_of", "read", "revision"]
