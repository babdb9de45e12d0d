"""Update rules as pure functions, and the `torch.optim.Optimizer` classes that are driven by them.

A rule works on one tensor, on many models at once (a matrix with one model per row and hyper-parameters of shape
(models, 1)), and on a list of tensors (wrapped in `Each`): it is written once.
"""

from __future__ import annotations

import inspect
import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, cast, overload

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

__all__ = ["SGD", "AdamW", "Each", "Interval", "RuleOptimizer", "adam_step", "adamw_step", "in_use", "sgd_step"]

Number = float | Tensor
State = Mapping[str, Tensor]


def sgd_step(
    p: Tensor,
    g: Tensor,
    state: State,
    step: int,
    *,
    lr: Number = 1e-3,
    momentum: Number = 0.0,
    weight_decay: Number = 0.0,
    nesterov: bool = False,
) -> None:
    r"""Change parameters by one step of gradient descent with momentum.

    .. math::

        g &\leftarrow g + \lambda p \\
        m &\leftarrow \mu m + g \\
        p &\leftarrow p - \eta\, m \quad (\text{Nesterov: } p - \eta\,(g + \mu m))

    Parameters
    ----------
    p, g
        Parameters, changed in place, and their gradient, left as it is; of the same shape.
    state
        ``"momentum_buffer"``, zeros at first, of the shape of ``p``: needed with momentum only.
    step
        1 at the first call; not used by this rule.
    lr, momentum, weight_decay
        :math:`\eta, \mu, \lambda`: numbers, or tensors that broadcast against ``p``. A term whose number is 0 is
        left out; a tensor always counts.
    nesterov
        Look ahead along the momentum.

    Notes
    -----
    This is the form of ``torch.optim.SGD``: the decay is added to the gradient, and the learning rate is outside
    the momentum, so that a change of it takes effect at once.

    Examples
    --------
    >>> p, m = torch.tensor([1.0, 2.0]), torch.zeros(2)
    >>> for step in (1, 2):
    ...     sgd_step(p, torch.tensor([1.0, 0.0]), {"momentum_buffer": m}, step, lr=0.1, momentum=0.5)
    >>> p
    tensor([0.7500, 2.0000])
    """
    if in_use(weight_decay):
        g = _plus(g, p, weight_decay)
    if in_use(momentum):
        m = state["momentum_buffer"].mul_(momentum).add_(g)
        g = _plus(g, m, momentum) if nesterov else m
    _add_(p, g, -lr)


def adam_step(
    p: Tensor,
    g: Tensor,
    state: State,
    step: int,
    *,
    lr: Number = 1e-3,
    beta1: Number = 0.9,
    beta2: Number = 0.999,
    eps: Number = 1e-8,
) -> None:
    r"""Change parameters by one step of Adam.

    .. math::

        m &\leftarrow \beta_1 m + (1 - \beta_1)\, g \\
        v &\leftarrow \beta_2 v + (1 - \beta_2)\, g^2 \\
        p &\leftarrow p - \eta\, \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    Parameters
    ----------
    p, g
        Parameters, changed in place, and their gradient, left as it is; of the same shape.
    state
        ``"exp_avg"`` (:math:`m`) and ``"exp_avg_sq"`` (:math:`v`), zeros at first, of the shape of ``p``.
    step
        :math:`t`, 1 at the first call.
    lr, beta1, beta2, eps
        Numbers, or tensors that broadcast against ``p``.

    References
    ----------
    D. P. Kingma and J. Ba (2015). Adam: A method for stochastic optimization. https://arxiv.org/abs/1412.6980

    Examples
    --------
    The first step has the length of the learning rate, whatever the size of the gradient:

    >>> p, state = torch.zeros(2), {"exp_avg": torch.zeros(2), "exp_avg_sq": torch.zeros(2)}
    >>> adam_step(p, torch.tensor([1000.0, -0.001]), state, 1, lr=0.1)
    >>> p
    tensor([-0.1000,  0.1000])
    """
    m, v = state["exp_avg"], state["exp_avg_sq"]
    m.lerp_(g, 1 - beta1)
    _add_product_(v.mul_(beta2), g, g, 1 - beta2)
    scale = v.sqrt().div_((1 - beta2**step) ** 0.5).add_(eps)
    _add_ratio_(p, m, scale, -lr / (1 - beta1**step))


def adamw_step(
    p: Tensor,
    g: Tensor,
    state: State,
    step: int,
    *,
    lr: Number = 1e-3,
    beta1: Number = 0.9,
    beta2: Number = 0.999,
    eps: Number = 1e-8,
    weight_decay: Number = 1e-2,
) -> None:
    r"""Change parameters by one step of AdamW: shrink them, then `adam_step`.

    .. math:: p \leftarrow (1 - \eta \lambda)\, p, \text{ then Adam}

    Parameters
    ----------
    p, g, state, step, lr, beta1, beta2, eps
        As for `adam_step`.
    weight_decay
        :math:`\lambda`: a number, or a tensor that broadcasts against ``p``.

    References
    ----------
    I. Loshchilov and F. Hutter (2019). Decoupled weight decay regularization. https://arxiv.org/abs/1711.05101

    Examples
    --------
    Without a gradient, only the decay is left:

    >>> p, state = torch.ones(2), {"exp_avg": torch.zeros(2), "exp_avg_sq": torch.zeros(2)}
    >>> adamw_step(p, torch.zeros(2), state, 1, lr=0.1, weight_decay=0.5)
    >>> p
    tensor([0.9500, 0.9500])
    """
    if in_use(weight_decay):
        p.mul_(1 - lr * weight_decay)
    adam_step(p, g, state, step, lr=lr, beta1=beta1, beta2=beta2, eps=eps)


def in_use(value: Number) -> bool:
    """Tell whether a term has to be computed: its factor is a tensor, or a number other than 0.

    Examples
    --------
    >>> in_use(0.0), in_use(0.9), in_use(torch.zeros(3, 1))
    (False, True, True)
    """
    return isinstance(value, Tensor) or value != 0


class Each:
    """Several tensors with the methods of one: each call becomes one ``torch._foreach_`` call over all of them.

    Parameters
    ----------
    tensors
        Of any shapes. An argument of a method is another ``Each`` of as many, or a number or tensor for all.

    Examples
    --------
    >>> each = Each([torch.ones(2), torch.ones(1)])
    >>> each.mul_(3.0).add(each, alpha=0.5).tensors
    [tensor([4.5000, 4.5000]), tensor([4.5000])]
    """

    def __init__(self, tensors: list[Tensor]) -> None:
        self.tensors = tensors

    def __getattr__(self, name: str) -> Callable[..., Each]:
        if name.startswith("__"):
            raise AttributeError(name)
        call = getattr(torch, f"_foreach_{name}")

        def method(*args: Any, **kwargs: Any) -> Each:
            out = call(self.tensors, *map(self._for_all, args), **kwargs)
            return self if name.endswith("_") else Each(list(out))

        return method

    def _for_all(self, arg: Any) -> Any:
        if isinstance(arg, Each):
            return arg.tensors
        return [arg] * len(self.tensors) if isinstance(arg, Tensor) else arg


class Interval(NamedTuple):
    """The numbers that a hyper-parameter may be.

    Examples
    --------
    >>> share = Interval(0, 1)
    >>> 0.0 in share, 1.0 in share, str(share)
    (True, False, '[0, 1)')
    """

    low: float = 0.0
    high: float = math.inf
    ends: str = "[)"

    def __contains__(self, value: object) -> bool:
        above = self.low <= value if self.ends[0] == "[" else self.low < value  # type: ignore[operator]
        return bool(above and (value <= self.high if self.ends[1] == "]" else value < self.high))  # type: ignore[operator]

    def __str__(self) -> str:
        return f"{self.ends[0]}{self.low:g}, {self.high:g}{self.ends[1]}"


class RuleOptimizer(torch.optim.Optimizer):
    """A `torch.optim.Optimizer` made from an update rule. A subclass names the rule, its state and its bounds.

    Attributes
    ----------
    rule
        A function such as `sgd_step`: (parameters, gradient, state, step, \\*, hyper-parameters).
    slots
        The names of the tensors in the state, each with the hyper-parameter that brings it into use (``None``:
        always).
    bounds
        What each hyper-parameter may be.
    """

    rule: ClassVar[Callable[..., None]]
    slots: ClassVar[Mapping[str, str | None]] = {}
    bounds: ClassVar[Mapping[str, Interval]] = {}

    def __init__(self, params: ParamsT, defaults: dict[str, Any], *, foreach: bool | None, maximize: bool) -> None:
        super().__init__(params, {**defaults, "foreach": foreach, "maximize": maximize})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with their own hyper-parameters, checked as in the constructor."""
        self.check(self.hyper({**self.defaults, **param_group}))
        super().add_param_group(param_group)

    @classmethod
    def hyper(cls, group: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of the rule that a parameter group holds (schedulers add entries of their own)."""
        return {name: group[name] for name in inspect.signature(cls.rule).parameters if name in group}

    @classmethod
    def check(cls, hyper: Mapping[str, Any]) -> None:
        """Raise an error if an argument of the rule is out of range.

        Raises
        ------
        ValueError
            It says which one, and what it may be.
        """
        for name, bounds in cls.bounds.items():
            value = hyper[name]
            if isinstance(value, Tensor) and value.numel() != 1:
                raise ValueError(f"{name} must be one number, got a tensor of shape {tuple(value.shape)}")
            if value not in bounds:
                raise ValueError(f"{name} must be in {bounds}, got {value}")

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Apply the rule once to every parameter that has a gradient.

        Parameters
        ----------
        closure
            Computes the loss and its gradients; called first.

        Returns
        -------
        float or None
            What the closure returned.

        Raises
        ------
        TypeError
            If a gradient is sparse or complex.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            hyper = self.hyper(group)
            for step, members in self._by_step(group, hyper).items():
                self._apply(step, members, hyper, group["foreach"])
        return loss

    def _by_step(self, group: dict[str, Any], hyper: dict[str, Any]) -> dict[int, list[tuple[Tensor, Tensor, State]]]:
        """Collect (parameter, gradient, state) by the number of steps taken: usually there is one number."""
        members = defaultdict(list)
        for p in group["params"]:
            if p.grad is None:
                continue
            if p.grad.is_sparse or p.is_complex():
                raise TypeError(f"{type(self).__name__} takes dense real gradients, got {p.grad.layout}, {p.dtype}")
            state = self.state[p]
            for name, switch in self.slots.items():
                if name not in state and (switch is None or in_use(hyper[switch])):
                    state[name] = torch.zeros_like(p, memory_format=torch.preserve_format)
            state["step"] = state.get("step", torch.zeros((), device="cpu")) + 1  # on the CPU: no wait for a device
            members[int(state["step"])].append((p, p.grad.neg() if group["maximize"] else p.grad, state))
        return members

    def _apply(self, step: int, members: list[Any], hyper: dict[str, Any], foreach: bool | None) -> None:
        rule = type(self).rule
        if foreach is False:
            for p, g, state in members:
                rule(p, g, state, step, **hyper)
        else:
            ps, gs, states = zip(*members, strict=True)
            slots = {name: Each([state[name] for state in states]) for name in self.slots if name in states[0]}
            rule(cast(Tensor, Each(list(ps))), cast(Tensor, Each(list(gs))), cast(State, slots), step, **hyper)


class SGD(RuleOptimizer):
    """Gradient descent with momentum, by `sgd_step`; equals ``torch.optim.SGD`` bit for bit.

    Parameters
    ----------
    params
        Parameters, or groups of them with their own hyper-parameters.
    lr
        A number, or a tensor with one number (which a scheduler can change without recompiling anything).
    momentum, weight_decay, nesterov
        As for `sgd_step`.
    foreach
        Update all parameters in few calls, which is faster and takes memory for one more copy of the gradients.
        ``None`` means yes.
    maximize
        Go up instead of down.

    Raises
    ------
    ValueError
        If a hyper-parameter is out of range, or Nesterov is asked for without momentum.

    Examples
    --------
    >>> p = torch.nn.Parameter(torch.tensor([3.0]))
    >>> optimizer = SGD([p], lr=0.1, momentum=0.9)
    >>> (p**2).sum().backward()
    >>> optimizer.step()
    >>> p.data
    tensor([2.4000])
    """

    rule = staticmethod(sgd_step)
    slots: ClassVar[Mapping[str, str | None]] = {"momentum_buffer": "momentum"}
    bounds: ClassVar[Mapping[str, Interval]] = dict.fromkeys(("lr", "momentum", "weight_decay"), Interval())

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov}
        super().__init__(params, defaults, foreach=foreach, maximize=maximize)

    @classmethod
    def check(cls, hyper: Mapping[str, Any]) -> None:
        """Raise an error if an argument of `sgd_step` is out of range, or Nesterov is asked for without momentum."""
        super().check(hyper)
        if hyper["nesterov"] and not in_use(hyper["momentum"]):
            raise ValueError(f"nesterov needs a momentum above 0, got {hyper['momentum']}")


class AdamW(RuleOptimizer):
    """Adam with decoupled weight decay, by `adamw_step`; equals ``torch.optim.AdamW`` bit for bit.

    Parameters
    ----------
    params, lr, foreach, maximize
        As for `SGD`.
    betas, eps, weight_decay
        As for `adamw_step`.

    Raises
    ------
    ValueError
        If a hyper-parameter is out of range.

    Examples
    --------
    >>> p = torch.nn.Parameter(torch.tensor([3.0]))
    >>> optimizer = AdamW([p], lr=0.1, weight_decay=0.0)
    >>> (p**2).sum().backward()
    >>> optimizer.step()
    >>> p.data
    tensor([2.9000])
    """

    rule = staticmethod(adamw_step)
    slots: ClassVar[Mapping[str, str | None]] = {"exp_avg": None, "exp_avg_sq": None}
    bounds: ClassVar[Mapping[str, Interval]] = {
        **dict.fromkeys(("lr", "eps", "weight_decay"), Interval()),
        **dict.fromkeys(("beta1", "beta2"), Interval(0, 1)),
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults, foreach=foreach, maximize=maximize)

    @classmethod
    def hyper(cls, group: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of `adamw_step` that a parameter group holds."""
        beta1, beta2 = group["betas"]
        return super().hyper({**group, "beta1": beta1, "beta2": beta2})


# Where the factor is a number, these are the calls of torch.optim, for the same bits; a tensor (a column with one
# number per model, or a learning rate that lives on the device) is multiplied.


def _plus(a: Tensor, b: Tensor, factor: Number) -> Tensor:
    """Return a + factor * b."""
    return a.addcmul(b, factor) if isinstance(factor, Tensor) else a.add(b, alpha=factor)


def _add_(a: Tensor, b: Tensor, factor: Number) -> None:
    """Add factor * b to a."""
    a.addcmul_(b, factor) if isinstance(factor, Tensor) else a.add_(b, alpha=factor)


def _add_product_(a: Tensor, b: Tensor, c: Tensor, factor: Number) -> None:
    """Add factor * b * c to a."""
    a.addcmul_(b, c.mul(factor)) if isinstance(factor, Tensor) else a.addcmul_(b, c, value=factor)


def _add_ratio_(a: Tensor, b: Tensor, c: Tensor, factor: Number) -> None:
    """Add factor * b / c to a."""
    a.addcdiv_(b.mul(factor), c) if isinstance(factor, Tensor) else a.addcdiv_(b, c, value=factor)
