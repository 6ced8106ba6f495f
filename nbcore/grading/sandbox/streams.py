"""What goes between an untrusted program and us: its input, and its output, drained and capped."""

from __future__ import annotations

import os
import socket

_IN_PIPE = 4096  # bytes that any pipe can hold


def holding(text: bytes) -> int:
    """A descriptor to read `text` from. A pipe where it fits, for that can be read once only; else memory, since a
    pipe would need a writer that may block."""
    if len(text) <= _IN_PIPE:
        reader, writer = os.pipe2(os.O_CLOEXEC)
        os.write(writer, text)
        os.close(writer)
        return reader
    return in_memory(text)


def in_memory(text: bytes) -> int:
    """A descriptor to read `text` from, of any length."""
    memory = os.memfd_create("text")
    os.write(memory, text)
    os.lseek(memory, 0, os.SEEK_SET)
    return memory


def channel(sockets: bool) -> tuple[int, int]:
    """Two ends, the first to read from and the second to write to."""
    if not sockets:
        return os.pipe2(os.O_CLOEXEC)
    one, other = socket.socketpair()
    return one.detach(), other.detach()


class Feed:
    """A text on its way into a program: a socket holds less than a source may be long."""

    def __init__(self, fd: int, text: bytes):
        self.fd, self._left, self.open = fd, memoryview(text), True
        os.set_blocking(fd, False)

    def write(self) -> None:
        """As much as fits; closes at the end, or when nobody reads any more."""
        try:
            self._left = self._left[os.write(self.fd, self._left) :] if self._left else self._left
        except BlockingIOError:
            return
        except OSError:
            self._left = self._left[:0]
        if not self._left:
            self.close()

    def close(self) -> None:
        if self.open:
            os.close(self.fd)
        self.open = False


class Streams:
    """What goes between a program and us: keeps the first bytes of each output, up to its limit, and reads on."""

    def __init__(self, limits: dict[int, int], feed: Feed | None):
        self.fds, self.limits, self.feed, self.over = tuple(limits), limits, feed, False
        self.kept = {fd: bytearray() for fd in limits}
        for fd in limits:
            os.set_blocking(fd, False)

    def read(self, fd: int) -> bool:
        """Take one chunk; False at the end of the stream or when nothing is waiting."""
        try:
            chunk = os.read(fd, 1 << 16)
        except (BlockingIOError, ConnectionResetError):  # a reset: the program left a socket with its input unread
            return False
        room = self.limits[fd] - len(self.kept[fd])
        self.kept[fd] += chunk[:room]
        self.over |= len(chunk) > room
        return bool(chunk)

    def drain(self) -> None:
        """What is left in the pipes; bounded, for an escaped child may go on writing."""
        for fd in self.fds:
            for _ in range(self.limits[fd] >> 12):
                if not self.read(fd):
                    break

    def close(self) -> None:
        """Close our ends."""
        for fd in self.fds:
            os.close(fd)
        if self.feed:
            self.feed.close()
