"""The figures of the pages: one module a page, one function a figure.

A function takes nothing and returns a `pagetools.svg.Picture`.
The page shows it as `![words](figures/module/function.svg "caption")`.
"""
