"""One narrated demo a module; `python -m literategpt.attention` runs `demos.attention`."""
