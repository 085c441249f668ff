"""Losses of segmentation, and their weighted sum.

In a training of several processes sums over pixels go over all of them, so that the loss is that of the whole batch;
only Lovász sorts the pixels of its own process.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the usual name

from agir_cvtoolkit.config._training import Loss
from agir_cvtoolkit.errors import ConfigError

from .shared import summed

_SMOOTH = 1.0


def segmentation_loss(
    logits: Tensor, labels: Tensor, settings: Loss, weights: Tensor | None = None
) -> Tensor:
    """Return the weighted sum of the losses that are configured.

    Args:
        logits: float of shape (B, classes, H, W).
        labels: class indices, any integer type, (B, H, W).
        settings: the group ``train.loss``.
        weights: of the classes in cross-entropy and focal loss, float of shape (classes,); None: all 1.
    """
    # Half precision has too few digits for the logarithms of small probabilities.
    logits, labels = logits.float(), labels.long()
    total = logits.new_zeros(())
    if settings.cross_entropy:
        total = total + settings.cross_entropy * focal_loss(logits, labels, 0.0, weights)
    if settings.focal:
        total = total + settings.focal * focal_loss(logits, labels, settings.focal_gamma, weights)
    if settings.dice:
        total = total + settings.dice * dice_loss(logits, labels)
    if settings.lovasz:
        total = total + settings.lovasz * lovasz_loss(logits, labels)
    return total


def focal_loss(logits: Tensor, labels: Tensor, gamma: float, weights: Tensor | None = None) -> Tensor:
    """Return the weighted mean over pixels of -(1 - p)^gamma log p, p the probability of the right class.

    The focal loss of Lin et al. 2017, "Focal Loss for Dense Object Detection"; with gamma 0 it is cross-entropy.
    """
    # Written out, since the fused cross-entropy has no deterministic form on GPUs.
    right = F.log_softmax(logits, dim=1).gather(1, labels[:, None])[:, 0]
    lost = -right
    if gamma:
        # At 0 a power below 1 has no slope.
        lost = lost * (1 - right.exp()).clamp_min(torch.finfo(right.dtype).eps) ** gamma
    if weights is None:
        return lost.mean()
    each = weights[labels]
    weighted, weight = _over_all(torch.stack([(lost * each).sum(), each.sum()]), logits)
    mean: Tensor = weighted / weight.clamp_min(torch.finfo(weight.dtype).tiny)
    return mean


def dice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return 1 - Dice of probabilities against labels, over the batch, mean of the foreground classes.

    Milletari et al. 2016, "V-Net", with one added to both sides of the fraction, for classes that do not occur.
    """
    probabilities = logits.softmax(dim=1)[:, 1:]
    wanted = F.one_hot(labels, logits.shape[1]).permute(0, 3, 1, 2)[:, 1:].to(logits.dtype)
    sums = torch.stack(
        [(probabilities * wanted).sum(dim=(0, 2, 3)), (probabilities + wanted).sum(dim=(0, 2, 3))]
    )
    hits, both = _over_all(sums, logits)
    lost: Tensor = (1 - (2 * hits + _SMOOTH) / (both + _SMOOTH)).mean()
    return lost


def _over_all(sums: Tensor, logits: Tensor) -> Tensor:
    # Only while training do all processes have equally many batches.
    return summed(sums) if logits.requires_grad else sums


def lovasz_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the Lovász-Softmax loss (Berman et al. 2018) over the batch, mean of the classes that occur.

    For each class the errors |1 - p| and |p| of all pixels, sorted from the largest, times the growth of the Jaccard
    loss when the pixels are taken for wrong in that order: its convex continuation.
    """
    probabilities = logits.softmax(dim=1)
    found = []
    for number in range(logits.shape[1]):
        wanted = (labels == number).reshape(-1)
        if not wanted.any():
            continue
        errors, order = (
            (wanted.to(logits.dtype) - probabilities[:, number].reshape(-1))
            .abs()
            .sort(descending=True, stable=True)
        )
        found.append(torch.dot(errors, _jaccard_growth(wanted[order]).to(errors.dtype)))
    return torch.stack(found).mean()


def _jaccard_growth(wanted: Tensor) -> Tensor:
    # Counted in integers: exact, and of floats GPUs have no running sum that comes out the same every time.
    hits = wanted.long().cumsum(0)
    misses = (~wanted).long().cumsum(0)
    total = hits[-1]
    jaccard = 1 - (total - hits) / (total + misses)
    return torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])


def loss_weights(settings: Loss, balanced: Sequence[float]) -> tuple[float, ...] | None:
    """Return what each class weighs in cross-entropy and focal loss, or None where all weigh the same.

    Args:
        settings: the group ``train.loss``.
        balanced: of the data set, one weight for each class.

    Raises:
        ConfigError: there are not as many weights as classes.
    """
    wanted = settings.class_weights
    if wanted == "none":
        return None
    if wanted == "balanced":
        return tuple(balanced)
    if len(wanted) != len(balanced):
        raise ConfigError(
            f"train.loss.class_weights has {len(wanted)} weights, the data set {len(balanced)} classes",
            "Give one for each class, the background first.",
        )
    return wanted
