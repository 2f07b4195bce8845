import torch

from stal.attribution.methods import attribute
from stal.attribution.random_weights import with_random_weights
from stal.attribution.scores import gradient_tube, rank_correlation

SIZE = (3, 8, 12, 12)


def test_weights_are_shuffled_in_a_copy(small_detector):
    before = {name: value.clone() for name, value in small_detector.state_dict().items()}
    copy, again = (with_random_weights(small_detector, torch.Generator().manual_seed(0)) for _ in range(2))
    weights, original = dict(copy.named_parameters()), dict(small_detector.named_parameters())
    assert all(torch.equal(value, before[name]) for name, value in small_detector.state_dict().items())
    assert weights.keys() == original.keys()
    for name, values in weights.items():
        assert torch.equal(values.flatten().sort().values, original[name].flatten().sort().values)
        assert torch.equal(values, again.get_parameter(name)) and values.requires_grad
    changed = [name for name, values in weights.items() if not torch.equal(values, original[name])]
    assert "classifier.logits.weight" in changed and "backbone.blocks.0.multipathway_blocks.0.conv.weight" in changed


def test_the_map_of_a_planted_cue_is_flat_with_random_weights(known_detector):
    detector = known_detector(SIZE)
    mask = torch.zeros(SIZE[1:], dtype=torch.bool)
    mask[2:6, 3:9, 3:9] = True
    with torch.no_grad():
        detector.slow.mul_(mask)
        detector.fast.mul_(mask)
    clip, tubelet = torch.randn(SIZE), torch.zeros(SIZE[1], 4)
    shuffled = with_random_weights(detector, torch.Generator().manual_seed(0))
    learned, unlearned = (gradient_tube(attribute(d, clip, tubelet, 0), mask) for d in (detector, shuffled))
    assert learned.inside_share == 1
    assert abs(unlearned.inside_share - unlearned.volume_share) < 0.03
    assert abs(rank_correlation(learned.saliency, unlearned.saliency)) < 0.1


def test_the_map_of_a_network_changes_with_its_weights(small_detector):
    clip = torch.randn(3, 8, 32, 48, generator=torch.Generator().manual_seed(2))
    tubelet = torch.tensor([4.0, 4.0, 30.0, 28.0]).repeat(8, 1)
    shuffled = with_random_weights(small_detector, torch.Generator().manual_seed(0))
    mask = torch.ones(8, 32, 48, dtype=torch.bool)
    learned, unlearned = (
        gradient_tube(attribute(d, clip, tubelet, 0), mask).saliency for d in (small_detector, shuffled)
    )
    assert rank_correlation(learned, unlearned) < 0.9
