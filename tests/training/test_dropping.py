"""What a network drops at random follows from the tile that it is dropped for."""

from __future__ import annotations

import pickle

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from torch import Tensor, nn  # noqa: E402

from agir_cvtoolkit.models.card import ArchSpec  # noqa: E402
from agir_cvtoolkit.models.registry import build  # noqa: E402
from agir_cvtoolkit.training.dropping import drawn_by_place  # noqa: E402


class Small(nn.Module):
    """Drops single values, then whole channels, then whole samples."""

    def __init__(self) -> None:
        super().__init__()
        path = transformers.models.segformer.modeling_segformer.SegformerDropPath(0.5)
        self.parts = nn.Sequential(nn.Dropout(0.5), nn.Dropout2d(0.4), path)

    def forward(self, values: Tensor) -> Tensor:
        found: Tensor = self.parts(values)
        return found


def dropped(shares: list[int], *, seed: int = 3, epoch: int = 0, network: nn.Module | None = None) -> Tensor:
    network = network or Small()
    draws = drawn_by_place(network.train())
    found: list[Tensor] = []
    first = 0
    for count in shares:
        draws.begin(seed, epoch, range(first, first + count))
        found.append(network(torch.ones(count, 16, 3, 3)))
        first += count
    joined: Tensor = torch.cat(found)
    return joined


def test_how_a_batch_is_shared_changes_nothing() -> None:
    whole = dropped([8])
    assert torch.equal(dropped([4, 4]), whole)
    torch.manual_seed(1)
    assert torch.equal(dropped([1, 2, 5]), whole)


def test_each_place_epoch_and_seed_has_its_own() -> None:
    whole = dropped([8])
    assert not torch.equal(dropped([8], epoch=1), whole)
    assert not torch.equal(dropped([8], seed=4), whole)
    channels = dropped([8], network=nn.Sequential(nn.Dropout2d(0.5)))
    assert len({tuple(sample.flatten().tolist()) for sample in channels}) == 8


def test_as_many_are_dropped_as_asked_and_the_rest_makes_up_for_them() -> None:
    values = dropped([4000], network=nn.Sequential(nn.Dropout2d(0.25)))
    assert sorted(set(values.flatten().tolist())) == pytest.approx([0.0, 4 / 3])
    assert (values == 0).all(dim=(2, 3)).float().mean() == pytest.approx(0.25, abs=0.01)
    assert ((values == 0).all(dim=(2, 3)) == (values == 0).any(dim=(2, 3))).all()
    samples = dropped([4000], network=Small().parts[2])
    assert (samples == 0).all(dim=(1, 2, 3)).float().mean() == pytest.approx(0.5, abs=0.03)
    assert samples.mean() == pytest.approx(1.0, abs=0.06)


def test_nothing_is_dropped_while_judging_and_weights_keep_their_names() -> None:
    network = build(ArchSpec("segformer", "mit_b0", encoder_weights=None))
    names = list(network.state_dict())
    drawn_by_place(network)
    assert list(network.state_dict()) == names
    pixels = torch.randn(2, 3, 32, 32)
    network.eval()
    with torch.inference_mode():
        assert torch.equal(network(pixels), network(pixels))


def test_a_network_that_has_learned_travels_to_another_process() -> None:
    network = Small()
    whole = dropped([8], network=network)
    assert torch.equal(dropped([8], network=pickle.loads(pickle.dumps(network))), whole)
