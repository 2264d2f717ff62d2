"""The machinery that keeps the pages true and builds the site; no part of the package."""
