"""Note every file that a chapter opens: they belong to its cache key (tools/harvest.py asks for them)."""


def _watch():
    import sys

    sys.files_read = set()
    sys.addaudithook(
        lambda event, args: sys.files_read.add(args[0]) if event == "open" and isinstance(args[0], str) else None
    )


_watch()
del _watch
