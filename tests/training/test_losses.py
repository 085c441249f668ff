"""Each loss against its definition, written out for few pixels."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from agir_cvtoolkit.config._training import Loss  # noqa: E402
from agir_cvtoolkit.errors import ConfigError  # noqa: E402
from agir_cvtoolkit.training.losses import (  # noqa: E402
    dice_loss,
    focal_loss,
    loss_weights,
    lovasz_loss,
    segmentation_loss,
)

OFF = {"cross_entropy": 0.0, "dice": 0.0, "focal": 0.0, "lovasz": 0.0}


def batch(classes: int = 3) -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, classes, 3, 4, generator=generator, dtype=torch.float64)
    return logits, torch.randint(0, classes, (2, 3, 4), generator=generator)


def pixels(logits: Any, labels: Any) -> list[tuple[list[float], int]]:
    probabilities = logits.softmax(dim=1).permute(0, 2, 3, 1).reshape(-1, logits.shape[1])
    return list(zip(probabilities.tolist(), labels.reshape(-1).tolist(), strict=True))


def test_cross_entropy_is_the_mean_of_log_probabilities() -> None:
    logits, labels = batch()
    expected = [-math.log(p[label]) for p, label in pixels(logits, labels)]
    assert float(focal_loss(logits, labels, 0.0)) == pytest.approx(sum(expected) / len(expected))
    assert float(focal_loss(logits, labels, 0.0)) == pytest.approx(
        float(torch.nn.functional.cross_entropy(logits, labels))
    )


def test_focal_loss_looks_at_what_is_wrong() -> None:
    logits, labels = batch()
    expected = [-((1 - p[label]) ** 2) * math.log(p[label]) for p, label in pixels(logits, labels)]
    assert float(focal_loss(logits, labels, 2.0)) == pytest.approx(sum(expected) / len(expected))


def test_weights_of_classes_weigh_their_pixels() -> None:
    logits, labels = batch()
    weights = torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64)
    found = float(focal_loss(logits, labels, 0.0, weights))
    assert found == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels, weights)))


def test_dice_counts_shares_of_pixels_and_leaves_the_background_out() -> None:
    logits, labels = batch()
    found = []
    for c in (1, 2):
        hits = sum(p[c] for p, label in pixels(logits, labels) if label == c)
        both = sum(p[c] + (label == c) for p, label in pixels(logits, labels))
        found.append(1 - (2 * hits + 1) / (both + 1))
    assert float(dice_loss(logits, labels)) == pytest.approx(sum(found) / 2)
    perfect = torch.nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2) * 50.0
    assert float(dice_loss(perfect, labels)) < 1e-6
    assert float(dice_loss(-perfect, labels)) > 0.8


def jaccard_loss(wrong: set[int], wanted: set[int]) -> float:
    """1 - IoU of a class when the pixels `wrong` are misclassified (Berman et al. 2018, equation 6)."""
    return len(wrong) / len(wanted | wrong) if wanted | wrong else 0.0


def test_lovasz_is_the_lovasz_extension_of_the_jaccard_loss() -> None:
    logits, labels = batch()
    expected = []
    for c in range(3):
        wanted = {i for i, (_, label) in enumerate(pixels(logits, labels)) if label == c}
        errors = [(1 - p[c] if i in wanted else p[c], i) for i, (p, _) in enumerate(pixels(logits, labels))]
        errors.sort(reverse=True)
        total, so_far = 0.0, set[int]()
        for error, i in errors:
            total += error * (jaccard_loss(so_far | {i}, wanted) - jaccard_loss(so_far, wanted))
            so_far |= {i}
        expected.append(total)
    assert float(lovasz_loss(logits, labels)) == pytest.approx(sum(expected) / 3)


@pytest.mark.parametrize("flipped", list(itertools.combinations(range(4), 2)))
def test_lovasz_of_hard_predictions_is_one_minus_iou(flipped: tuple[int, int]) -> None:
    labels = torch.tensor([[[0, 1], [1, 0]]])
    predicted = labels.reshape(-1).clone()
    predicted[list(flipped)] = 1 - predicted[list(flipped)]
    logits = torch.nn.functional.one_hot(predicted.reshape(1, 2, 2), 2).permute(0, 3, 1, 2) * 80.0
    expected = 0.0
    for c in (0, 1):
        a, b = predicted == c, labels.reshape(-1) == c
        expected += 1 - float((a & b).sum() / (a | b).sum())
    assert float(lovasz_loss(logits, labels)) == pytest.approx(expected / 2)


@pytest.mark.parametrize("part", ["cross_entropy", "dice", "focal", "lovasz"])
def test_the_loss_is_the_weighted_sum_of_what_is_configured(part: str) -> None:
    logits, labels = batch()
    alone = {"cross_entropy": focal_loss(logits, labels, 0.0), "focal": focal_loss(logits, labels, 1.5)}
    alone |= {"dice": dice_loss(logits, labels), "lovasz": lovasz_loss(logits, labels)}
    found = segmentation_loss(logits, labels, Loss(**OFF | {part: 0.3}, focal_gamma=1.5))
    assert float(found) == pytest.approx(0.3 * float(alone[part]), rel=1e-5)
    both = segmentation_loss(logits, labels, Loss(**OFF | {part: 0.3} | {"dice": 2.0}, focal_gamma=1.5))
    other = 2.0 if part == "dice" else 0.3
    rest = 0.0 if part == "dice" else 2.0 * float(alone["dice"])
    assert float(both) == pytest.approx(other * float(alone[part]) + rest, rel=1e-5)


def test_every_loss_shows_the_way_down() -> None:
    logits, labels = batch()
    for part in OFF:
        at = logits.clone().requires_grad_()
        loss = segmentation_loss(at, labels, Loss(**OFF | {part: 1.0}))
        loss.backward()  # type: ignore[no-untyped-call]
        lower = segmentation_loss(logits - at.grad, labels, Loss(**OFF | {part: 1.0}))
        assert float(lower) < float(loss.detach()), part


def test_class_weights_are_none_those_of_the_data_set_or_given() -> None:
    balanced = (0.1, 1.0, 2.0)
    assert loss_weights(Loss(), balanced) is None
    assert loss_weights(Loss(class_weights="balanced"), balanced) == balanced
    assert loss_weights(Loss(class_weights=(1, 2, 3)), balanced) == (1, 2, 3)
    with pytest.raises(ConfigError, match="has 2 weights, the data set 3 classes"):
        loss_weights(Loss(class_weights=(1, 2)), balanced)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_focal_loss_has_a_slope_where_nothing_is_wrong(gamma: float) -> None:
    logits = torch.tensor([[50.0, -50.0]]).reshape(1, 2, 1, 1).requires_grad_()
    focal_loss(logits, torch.zeros((1, 1, 1), dtype=torch.long), gamma).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_lovasz_counts_in_integers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Running sums of floats are refused on GPUs where results must repeat, and not exact beyond 2 ** 24."""
    real, kinds = torch.Tensor.cumsum, set()

    def seen(self: Any, *given: int) -> Any:
        kinds.add(self.dtype)
        return real(self, *given)

    monkeypatch.setattr(torch.Tensor, "cumsum", seen)
    lovasz_loss(torch.zeros((1, 2, 4, 4)), torch.ones((1, 4, 4), dtype=torch.long))
    assert kinds == {torch.int64}
