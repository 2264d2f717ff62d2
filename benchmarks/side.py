"""One side of a benchmark: a process that does its piece of work whenever it is told to.

    python -m benchmarks.side MODULE '{"setting": 1}'

The module's `prepare(**settings)` makes everything ready and returns the work, a function.
Each line of the input asks for it once; the answer is a line of JSON with the seconds it took, the
memory of the process before `prepare` and at its peak, and what the work returned, by which the
sides are held against each other.
"""

import hashlib
import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

LONG = 5000


def memory(field: str) -> int:
    """Return bytes of this process: "VmRSS", what it has now, or "VmHWM", the most it had.

    Linux tells both; elsewhere the most has to stand for both, and what is had before counts in.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lines = (line.split() for line in status.read_text(encoding="utf-8").splitlines())
    return next(int(line[1]) * 1024 for line in lines if line[0] == f"{field}:")


def compact(result: Any) -> Any:
    """Replace a long result by a short text that differs when the result does."""
    if hasattr(result, "__len__") and len(result) > LONG:
        return hashlib.sha256(repr(result).encode()).hexdigest()
    return result


def main() -> None:
    """Prepare, then work whenever a line arrives."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    module = importlib.import_module(sys.argv[1])
    bytes_before = memory("VmRSS")
    work = module.prepare(**json.loads(sys.argv[2]))
    for _ in sys.stdin:
        start = time.perf_counter()
        result = work()
        answer = {
            "seconds": time.perf_counter() - start,
            "bytes_before": bytes_before,
            "bytes_at_peak": memory("VmHWM"),
            "result": compact(result),
        }
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
