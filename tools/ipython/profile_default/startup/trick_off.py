"""Where ``make null`` asks for it, put a trick's null in its place before the chapter imports it (tools/nulls.py)."""


def _switch_off():
    import os

    if trick := os.environ.get("TRICKS_NULL"):
        from tools.nulls import switch_off

        switch_off(trick, os.environ["TRICKS_CHAPTER"])


_switch_off()
del _switch_off
