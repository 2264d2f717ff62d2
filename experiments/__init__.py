"""Measurements that the book quotes: a script each, and the logs they wrote, in `logs/`.

`python -m experiments.NAME` repeats one and writes its log anew.
"""

import os

# Two runs at a time use one processor each: this must be set before NumPy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
