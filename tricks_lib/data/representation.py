"""Codes for combinations of attributes, localist and distributed; images and words in one space."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from tricks_lib.data.augmentation import check_images
from tricks_lib.data.fitted import wide
from tricks_lib.learning.losses import Reduction, cross_entropy

__all__ = [
    "CodeScores",
    "WordScores",
    "analogy",
    "choose_combinations",
    "colorize",
    "compose_codes",
    "contrastive_loss",
    "determined",
    "nearest",
]


def compose_codes(*parts: Tensor) -> Tensor:
    r"""Write down the code of each combination of attributes: the codes of its values, one after the other.

    .. math:: c_{(a, b, \dots)} = (p_a, q_b, \dots)

    Parameters
    ----------
    \*parts
        For each attribute the codes of its values (n_i, w_i), all of one dtype and device. ``torch.eye(n)`` gives
        each value a unit of its own.

    Returns
    -------
    Tensor
        Codes (n_1 n_2 ..., w_1 + w_2 + ...). The last attribute varies fastest: of two, the combination (a, b) has
        row ``a * n_2 + b``.

    Raises
    ------
    ValueError
        If there is no part, or one is not of shape (n, w), n >= 1 and w >= 1.

    References
    ----------
    G. E. Hinton (1984). Distributed representations. Technical report CMU-CS-84-157, Carnegie Mellon University.

    Examples
    --------
    >>> compose_codes(torch.eye(2), torch.tensor([[5.0], [6.0], [7.0]]))
    tensor([[1., 0., 5.],
            [1., 0., 6.],
            [1., 0., 7.],
            [0., 1., 5.],
            [0., 1., 6.],
            [0., 1., 7.]])
    """
    if not parts:
        raise ValueError("parts must hold the codes of at least one attribute, got none")
    for part in parts:
        _check_codes("a part", part)
    places = torch.meshgrid(*(torch.arange(len(part), device=part.device) for part in parts), indexing="ij")
    return torch.cat([part[place.flatten()] for part, place in zip(parts, places, strict=True)], dim=1)


def choose_combinations(n_a: int, n_b: int, partners: int, *, generator: torch.Generator | None = None) -> Tensor:
    """Choose at random which combinations of two attributes are to be seen in training.

    Parameters
    ----------
    n_a, n_b
        Numbers of values of the two attributes.
    partners
        With how many values of the second attribute each value of the first is seen, 1 <= partners <= n_b.
    generator
        Drawn from, on its device; ``None``: torch's global generator.

    Returns
    -------
    Tensor
        Mask (n_a, n_b), bool, on the device of the generator: True where the combination is seen. Every row holds
        ``partners`` of them. The columns share them as evenly as that allows: with n_a >= n_b none stays empty.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> choose_combinations(3, 4, 2, generator=torch.Generator().manual_seed(0)).int()
    tensor([[0, 0, 1, 1],
            [1, 1, 0, 0],
            [1, 0, 0, 1]], dtype=torch.int32)
    """
    if n_a < 1 or n_b < 1:
        raise ValueError(f"n_a and n_b must be at least 1, got {n_a} and {n_b}")
    if not 1 <= partners <= n_b:
        raise ValueError(f"partners must be in [1, {n_b}], got {partners}")
    device = None if generator is None else generator.device
    rows, columns = (torch.randperm(n, generator=generator, device=device) for n in (n_a, n_b))
    return (columns - rows[:, None]) % n_b < partners


def determined(codes: Tensor, seen: Tensor) -> Tensor:
    r"""Tell for which combinations the seen ones settle every function that is linear in the code.

    That is so where the code word is a linear combination of the code words that were seen: then *w* such that
    :math:`w^\top c_s` is known for all seen *s* has a known :math:`w^\top c`, too.

    Parameters
    ----------
    codes
        Code words (K, W), such as `compose_codes` returns them.
    seen
        Which of them are seen (K,), bool.

    Returns
    -------
    Tensor
        Mask (K,), bool; True for all that are seen, and maybe for others.

    Raises
    ------
    TypeError
        If ``seen`` is not a mask.
    ValueError
        If shapes do not fit, or a number is not finite.

    Examples
    --------
    Of four combinations one was never met. With a unit for each value it is settled by the other three, with a unit
    for each combination it is not.

    >>> seen = torch.tensor([True, True, True, False])
    >>> determined(compose_codes(torch.eye(2), torch.eye(2)), seen)
    tensor([True, True, True, True])
    >>> determined(torch.eye(4), seen)
    tensor([ True,  True,  True, False])
    """
    _check_codes("codes", codes)
    if seen.dtype != torch.bool:
        raise TypeError(f"seen must be a mask of dtype bool, got {seen.dtype}")
    if seen.shape != codes.shape[:1]:
        raise ValueError(f"seen must have shape ({len(codes)},), one entry for each code, got {tuple(seen.shape)}")
    words = wide(codes, "codes").cpu()
    known = words[seen.cpu()]
    left = words - words @ torch.linalg.pinv(known) @ known
    settled: Tensor = left.norm(dim=1) <= 1e-9 * words.norm(dim=1)
    return settled.to(seen.device)


def colorize(x: Tensor, colors: Tensor) -> Tensor:
    r"""Give each gray image its color: channel *k* is the image times the *k*-th part of the color.

    Parameters
    ----------
    x
        Gray images (N, 1, H, W), floating point.
    colors
        Color of each (N, C), such as red, green and blue in [0, 1].

    Returns
    -------
    Tensor
        Images (N, C, H, W), in the dtype of ``x``.

    Raises
    ------
    TypeError
        If ``x`` is not of floating point.
    ValueError
        If shapes do not fit.

    Examples
    --------
    >>> colorize(torch.tensor([[[[1.0, 0.5]]]]), torch.tensor([[1.0, 0.0, 0.5]]))
    tensor([[[[1.0000, 0.5000]],
    <BLANKLINE>
             [[0.0000, 0.0000]],
    <BLANKLINE>
             [[0.5000, 0.2500]]]])
    """
    check_images(x)
    if x.shape[1] != 1:
        raise ValueError(f"x must be gray, of shape (N, 1, H, W), got {tuple(x.shape)}")
    if colors.ndim != 2 or len(colors) != len(x) or not colors.shape[1]:
        raise ValueError(f"colors must have shape ({len(x)}, C), one for each image, got {tuple(colors.shape)}")
    return x * colors.to(x.dtype)[:, :, None, None]


class CodeScores(nn.Module):
    r"""Score each code word by what the units say: the last layer of a network that answers in a code.

    .. math:: s_k = z^\top c_k

    With ``torch.eye(K)`` for codes this is the identity, a unit for each class. With the codes of `compose_codes`
    over units for single values, the softmax of the scores is the product of a softmax for each attribute.

    Parameters
    ----------
    codes
        Code words (K, W). They are a buffer: saved and moved with the module, not trained.

    Raises
    ------
    ValueError
        If the codes are not of shape (K, W).

    References
    ----------
    T. G. Dietterich, G. Bakiri (1995). Solving multiclass learning problems via error-correcting output codes.
    Journal of Artificial Intelligence Research 2, 263-286. https://arxiv.org/abs/cs/9501101

    Examples
    --------
    >>> scores = CodeScores(compose_codes(torch.eye(2), torch.eye(3)))
    >>> scores(torch.tensor([[0.0, 10.0, 1.0, 2.0, 3.0]]))
    tensor([[ 1.,  2.,  3., 11., 12., 13.]])
    """

    codes: Tensor

    def __init__(self, codes: Tensor) -> None:
        super().__init__()
        _check_codes("codes", codes)
        self.register_buffer("codes", codes.detach().clone())

    def forward(self, z: Tensor) -> Tensor:
        """Map what W units say (..., W) to the scores of all code words (..., K)."""
        if not z.ndim or z.shape[-1] != self.codes.shape[1]:
            raise ValueError(f"z must have shape (..., {self.codes.shape[1]}), got {tuple(z.shape)}")
        return z @ self.codes.T

    def extra_repr(self) -> str:
        """Return the sizes, for ``repr``."""
        return "{} codes of {} units".format(*self.codes.shape)


class WordScores(nn.Module):
    r"""Compare images with captions in one space: a caption is the sum of its words' vectors.

    .. math:: s_k = \alpha \cos(z, u_k), \qquad u_k = \sum_w c_{kw} v_w

    Parameters
    ----------
    codes
        Which words each caption has (K, W): its code. A buffer.
    dim
        Dimension *D* of the space.
    scale
        :math:`\alpha` above 0, the inverse of a temperature.
    generator
        For the first vectors, normal with variance 1 / D; ``None``: torch's global generator.
    device, dtype
        Of the vectors.

    Attributes
    ----------
    words : Parameter
        Vectors *v* of the words (W, D).

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    R. Kiros, R. Salakhutdinov, R. S. Zemel (2014). Unifying visual-semantic embeddings with multimodal neural language
    models. https://arxiv.org/abs/1411.2539

    Examples
    --------
    >>> scores = WordScores(torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]), dim=2, scale=5.0)
    >>> _ = scores.load_state_dict({"words": torch.tensor([[3.0, 0.0], [0.0, 4.0], [0.0, -4.0]])}, strict=False)
    >>> scores.captions().tolist()
    [[3.0, 4.0], [3.0, -4.0]]
    >>> scores(torch.tensor([[30.0, 40.0]])).detach()
    tensor([[ 5.0000, -1.4000]])
    """

    codes: Tensor

    def __init__(
        self,
        codes: Tensor,
        dim: int,
        *,
        scale: float = 1.0,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        _check_codes("codes", codes)
        if dim < 1:
            raise ValueError(f"dim must be at least 1, got {dim}")
        if not 0 < scale < math.inf:
            raise ValueError(f"scale must be above 0 and finite, got {scale}")
        options: dict[str, Any] = {"device": device, "dtype": dtype}
        self.scale, self.words = scale, nn.Parameter(torch.empty(codes.shape[1], dim, **options))
        self.register_buffer("codes", codes.detach().clone().to(self.words))
        at = None if generator is None else generator.device
        first = torch.randn(self.words.shape, generator=generator, device=at, dtype=self.words.dtype)
        with torch.no_grad():
            self.words.copy_(first / dim**0.5)

    def captions(self) -> Tensor:
        """Return the vectors of all captions (K, D)."""
        return self.codes @ self.words

    def forward(self, z: Tensor) -> Tensor:
        """Map the vectors of images (..., D) to their scores with all captions (..., K)."""
        if not z.ndim or z.shape[-1] != self.words.shape[1]:
            raise ValueError(f"z must have shape (..., {self.words.shape[1]}), got {tuple(z.shape)}")
        return self.scale * _unit(z) @ _unit(self.captions()).T

    def extra_repr(self) -> str:
        """Return sizes and scale, for ``repr``."""
        return "{} captions of {} words, dim={}, scale={}".format(*self.codes.shape, self.words.shape[1], self.scale)


def contrastive_loss(scores: Tensor, groups: Tensor | None = None, *, reduction: Reduction = "mean") -> Tensor:
    r"""Ask each image of a batch for its caption, and each caption for its image, among those of the batch.

    .. math::

        \ell_i = -\frac12 \sum_j t_{ij} \left(
        \log \frac{e^{s_{ij}}}{\sum_k e^{s_{ik}}} + \log \frac{e^{s_{ji}}}{\sum_k e^{s_{ki}}} \right),
        \qquad t_{ij} = \frac{[g_i = g_j]}{\sum_k [g_i = g_k]}

    Parameters
    ----------
    scores
        Row *i*, column *j*: how well image *i* goes with the caption of image *j* (N, N).
    groups
        A number for each pair (N,): pairs with the same number have the same caption, and share the target.
        ``None``: all captions are different.
    reduction
        ``"mean"`` or ``"sum"`` over the pairs, or ``"none"``.

    Returns
    -------
    Tensor
        One number, or (N,) without reduction.

    Raises
    ------
    ValueError
        If shapes do not fit, or the reduction is unknown.

    References
    ----------
    A. Radford et al. (2021). Learning transferable visual models from natural language supervision.
    https://arxiv.org/abs/2103.00020

    Examples
    --------
    >>> scores = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    >>> contrastive_loss(scores), contrastive_loss(scores, torch.tensor([7, 7]))
    (tensor(0.1269), tensor(1.1269))
    """
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1]:
        raise ValueError(f"scores must have shape (N, N), images by captions, got {tuple(scores.shape)}")
    if groups is None:
        groups = torch.arange(len(scores), device=scores.device)
    if groups.shape != scores.shape[:1]:
        raise ValueError(f"groups must have shape ({len(scores)},), one for each pair, got {tuple(groups.shape)}")
    same = (groups[:, None] == groups).to(scores.dtype)
    target = same / same.sum(dim=1, keepdim=True)
    both = [cross_entropy(s, target, reduction=reduction) for s in (scores, scores.mT)]
    return (both[0] + both[1]) / 2


def analogy(query: Tensor, minus: Tensor, plus: Tensor, *, step: float = 1.0) -> Tensor:
    r"""Go from a query in the direction from one word to another: image - word + word.

    .. math:: q = \frac{z}{\lVert z \rVert} + \beta\, (v_+ - v_-)

    Parameters
    ----------
    query
        Vectors *z* (..., D), not zero.
    minus, plus
        Vectors of the words, of shapes that broadcast with the query's.
    step
        :math:`\beta`. If the length of a query was of no account in training, as for cosines, the right unit is
        one over the length of a caption.

    Returns
    -------
    Tensor
        Vectors (..., D), for `nearest`.

    Raises
    ------
    ValueError
        If the vectors are not of one dimension D.

    References
    ----------
    R. Kiros, R. Salakhutdinov, R. S. Zemel (2014). Unifying visual-semantic embeddings with multimodal neural language
    models. https://arxiv.org/abs/1411.2539

    Examples
    --------
    >>> analogy(torch.tensor([[30.0, 40.0]]), minus=torch.tensor([0.0, 1.0]), plus=torch.tensor([0.0, -1.0]), step=0.2)
    tensor([[0.6000, 0.4000]])
    """
    sizes = {vectors.shape[-1] if vectors.ndim else None for vectors in (query, minus, plus)}
    if len(sizes) > 1 or None in sizes:
        shapes = [tuple(vectors.shape) for vectors in (query, minus, plus)]
        raise ValueError(f"query, minus and plus must have shape (..., D) with one D, got {shapes}")
    return _unit(query) + step * (plus - minus)


def nearest(query: Tensor, candidates: Tensor, *, leave_out: Tensor | None = None) -> Tensor:
    """Find the candidate that has the smallest angle with each query.

    Parameters
    ----------
    query
        Vectors (N, D).
    candidates
        Vectors (M, D).
    leave_out
        For each query the number of a candidate that does not count (N,), such as the query itself.

    Returns
    -------
    Tensor
        Numbers of candidates (N,), int64.

    Raises
    ------
    ValueError
        If shapes do not fit, or no candidate is left.

    Examples
    --------
    >>> query, candidates = torch.tensor([[1.0, 0.1]]), torch.tensor([[5.0, 0.0], [1.0, 1.0], [-1.0, 0.0]])
    >>> nearest(query, candidates), nearest(query, candidates, leave_out=torch.tensor([0]))
    (tensor([0]), tensor([1]))
    """
    if query.ndim != 2 or candidates.ndim != 2 or query.shape[1] != candidates.shape[1]:
        shapes = [tuple(query.shape), tuple(candidates.shape)]
        raise ValueError(f"query and candidates must have shapes (N, D) and (M, D), got {shapes}")
    if leave_out is not None and leave_out.shape != query.shape[:1]:
        raise ValueError(f"leave_out must have shape ({len(query)},), got {tuple(leave_out.shape)}")
    if len(candidates) < (1 if leave_out is None else 2):
        raise ValueError(f"candidates must hold one that counts, got {len(candidates)} of them")
    cosine = _unit(query) @ _unit(candidates).T
    if leave_out is not None:
        cosine = cosine.scatter(1, leave_out[:, None], -math.inf)
    return cosine.argmax(dim=1)


def _unit(x: Tensor) -> Tensor:
    return nn.functional.normalize(x, dim=-1)


def _check_codes(name: str, codes: Tensor) -> None:
    if codes.ndim != 2 or not codes.numel():
        raise ValueError(f"{name} must have shape (values, units), both at least 1, got {tuple(codes.shape)}")
