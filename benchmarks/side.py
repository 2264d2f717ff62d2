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


def peak_bytes() -> int:
    """Return the most memory that this process had at any time; Linux counts it in kibibytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def present_bytes() -> int:
    """Return the memory that this process has now; where only Linux could tell, the most it had."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return peak_bytes()
    return int(statm.read_text().split()[1]) * resource.getpagesize()


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
    bytes_before = present_bytes()
    work = module.prepare(**json.loads(sys.argv[2]))
    for _ in sys.stdin:
        start = time.perf_counter()
        result = work()
        answer = {
            "seconds": time.perf_counter() - start,
            "bytes_before": bytes_before,
            "bytes_at_peak": peak_bytes(),
            "result": compact(result),
        }
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
