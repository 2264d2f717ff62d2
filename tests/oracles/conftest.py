"""Leave the scripts here alone: they need packages that the tests do without."""

collect_ignore_glob = ["make_*.py"]
