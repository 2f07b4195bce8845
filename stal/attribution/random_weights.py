"""A network that knows nothing, to see how much of an attribution is owed to what was learned."""

import copy

import torch

from stal.models.detector import TubeDetector


def with_random_weights(detector: TubeDetector, generator: torch.Generator) -> TubeDetector:
    """Return a copy of a detector, with the values of each of its weights shuffled.

    A map that stays the same on it shows the clip, or the network's architecture, and not what the network has learned
    (Adebayo et al. 2018, arXiv 1810.03292). There, weights are drawn anew, layer by layer from the last; ours are those
    of all layers at once, and shuffled, so that each keeps its scale and none is drawn from the wrong distribution.

    Args:
        detector: a trained network; it stays as it is.
        generator: source of the orders, on the CPU.
    """
    shuffled = copy.deepcopy(detector)
    with torch.no_grad():
        for weights in shuffled.parameters():
            order = torch.randperm(weights.numel(), generator=generator).to(weights.device)
            weights.copy_(weights.flatten()[order].view_as(weights))
    return shuffled
