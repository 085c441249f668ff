"""How pixels enter a network that is trained; its card keeps it, and every prediction and export goes by the card."""

from __future__ import annotations

from agir_cvtoolkit.config._training import Train
from agir_cvtoolkit.models.card import ArchSpec, PixelNorm
from agir_cvtoolkit.models.encoders import pixel_norm

from .dataset import PreparedDataset

_LEAST_STD = 1.0


def norm_of(dataset: PreparedDataset, settings: Train, spec: ArchSpec) -> PixelNorm:
    """Return the mean and standard deviation on 0..255 RGB that ``train.normalization`` asks for.

    Weights that were learned on ImageNet expect the pixels that they were learned on; only an encoder without any gains
    from those of the data set. So ``auto`` takes the data set's for random weights alone.

    Args:
        dataset: with the statistics of its training pictures.
        settings: the group ``train``.
        spec: the network.
    """
    wanted = settings.normalization
    if wanted == "encoder" or (wanted == "auto" and spec.encoder_weights is not None):
        return pixel_norm(spec)
    mean_r, mean_g, mean_b = (255 * value for value in dataset.rgb_mean)
    # Pictures of one colour have no spread to divide by.
    std_r, std_g, std_b = (max(_LEAST_STD, 255 * value) for value in dataset.rgb_std)
    return PixelNorm((mean_r, mean_g, mean_b), (std_r, std_g, std_b))
