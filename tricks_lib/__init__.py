"""Tricks of the trade for training neural networks, on PyTorch.

Import from the module that implements a trick, for example
``from tricks_lib.data.looking import PCA``: this package re-exports nothing,
so ``import tricks_lib`` costs nothing.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
