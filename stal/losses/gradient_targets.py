"""Whose gradient is looked at? One number for each actor, computed from the logits of its classes."""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

Target = Literal["logit", "log_probability", "sum_log_probability", "random_signs"]


def target_scores(
    target: Target, labels: Int64[Tensor, " A"], num_classes: int, generator: torch.Generator
) -> Callable[[Float[Tensor, "A K"]], Float[Tensor, " A"]]:
    """Return the function that makes the targets of actors of their logits f, one independent logit a class.

    - `logit`: f_y of the actor's own class y, as in the paper. The other classes may look where they like.
    - `log_probability`: log p_y, p = sigmoid(f). Its gradient is (1 - p_y) times that of f_y: little once the class is
      recognised.
    - `sum_log_probability`: the sum over classes of log p_k + log(1 - p_k). Ross, Hughes, Doshi-Velez 2017 (RRR, arXiv
      1703.03717) sum log-probabilities over all outcomes of a softmax; each of our classes is a choice of two, and so
      has two outcomes. The gradient is the sum over classes of (1 - 2 p_k) times that of f_k, in which gradients of
      different classes can cancel each other.
    - `random_signs`: sum over classes of s_k f_k, with signs s drawn for each actor at each step. The expectation of
      the squared gradient is the sum over classes of the squared gradients of f_k (Hutchinson 1990): no class may look
      at what is forbidden, and nothing cancels. K times as large as with `logit`, if classes are alike.

    Args:
        target: which.
        labels: the actors' own classes.
        num_classes: K.
        generator: on the CPU; draws the signs, and nothing for the other targets.
    """
    if target == "random_signs":
        signs = 2 * torch.randint(2, (len(labels), num_classes), generator=generator) - 1
        signs = signs.to(labels.device)
        return lambda logits: (logits * signs).sum(1)
    if target == "sum_log_probability":
        return lambda logits: (F.logsigmoid(logits) + F.logsigmoid(-logits)).sum(1)
    if target == "log_probability":
        return lambda logits: F.logsigmoid(_own(logits, labels))
    return lambda logits: _own(logits, labels)


def _own(logits: Float[Tensor, "A K"], labels: Int64[Tensor, " A"]) -> Float[Tensor, " A"]:
    """Return the logits of the actors' own classes."""
    return logits.gather(1, labels[:, None]).squeeze(1)
