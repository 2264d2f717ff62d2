"""Write a file as a whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["replace_file"]


@contextmanager
def replace_file(path: Path | str) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`, and give it that name once it is complete.

    A reader sees the old file or the new one, never a part; if writing fails, or the program is
    killed, the old one stays.

    Args:
        path: Where the file is to be; its directory is made if there is none.

    Yields:
        A binary file to write to.

    Raises:
        OSError: The directory cannot be written.

    Examples:
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     path = Path(directory) / "note.txt"
        ...     with replace_file(path) as file:
        ...         _ = file.write(b"whole")
        ...     path.read_text(encoding="utf-8")
        'whole'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            # The bytes must be on the disk before the name points to them.
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
