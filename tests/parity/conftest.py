"""Collect what is here only where it is named, as `make parity` does: it needs PyTorch."""

collect_ignore_glob = ["*.py"]
