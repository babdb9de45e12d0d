"""The static rules of the project: what a reader of the code or the text can check without running it.

A rule is a function of a path and its text that returns messages, ``file:line: what is wrong and what to do``.
`tree` says which rule holds where, and ``python -m tools.rules`` prints what it finds.
"""
