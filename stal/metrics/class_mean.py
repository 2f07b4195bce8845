"""The mean over classes, some of which may have no value."""

import numpy as np
from jaxtyping import Float64


def class_mean(per_class: Float64[np.ndarray, " K"]) -> float:
    """Return the unweighted mean over the classes that are not NaN; NaN if all are."""
    return float(class_means(per_class[:, None])[0])


def class_means(values: Float64[np.ndarray, "K B"]) -> Float64[np.ndarray, " B"]:
    """Return `class_mean` of each column."""
    present = ~np.isnan(values)
    num_present = present.sum(axis=0)
    total = np.zeros(values.shape[1])
    for of_class in np.where(
        present, values, 0
    ):  # one by one: the sum of a column must not depend on the other columns
        total += of_class
    return np.divide(total, num_present, out=np.full(len(total), np.nan), where=num_present > 0)
