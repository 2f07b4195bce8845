"""The mean over classes, some of which may have no value."""

import numpy as np
from jaxtyping import Float64


def class_mean(per_class: Float64[np.ndarray, " K"]) -> float:
    """Return the unweighted mean over the classes that are not NaN; NaN if all are."""
    present = per_class[~np.isnan(per_class)]
    return float(present.mean()) if len(present) else float("nan")
