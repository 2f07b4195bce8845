import pytest
import torch
from jaxtyping import TypeCheckError

from stal.attribution.perturbation import perturbation_curves
from stal.attribution.roi_score import RoiScore
from stal.errors import ConfigError, ShapeError

SIZE = (3, 8, 24, 24)
TUBELET = torch.tensor([6.0, 6.0, 14.0, 12.0]).repeat(SIZE[1], 1)


@pytest.fixture
def cue(known_detector):
    """A score that depends on a cue alone, a clip that shows it, and the map that names it."""
    detector, where = known_detector(SIZE).eval(), torch.zeros(SIZE[1:])
    where[2:6, 6:12, 6:14] = 1
    clip = torch.randn(SIZE, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():  # the logit is 3 with the cue; the cue is so fine that a blur takes it away
        detector.slow.zero_()
        detector.fast.copy_((3 * where * clip / (where * clip**2).sum()).expand(2, *SIZE))
    return RoiScore(detector, TUBELET, 0), clip, where


@pytest.mark.parametrize("baseline", ["blur", "mean"])
def test_a_planted_cue_beats_random_maps_by_a_margin(cue, baseline):
    score, clip, where = cue
    curves = perturbation_curves(score, clip, where, baseline=baseline)
    for seed in range(3):
        random = torch.rand(SIZE[1:], generator=torch.Generator().manual_seed(seed))
        of_random = perturbation_curves(score, clip, random, baseline=baseline)
        assert curves.insertion_auc > of_random.insertion_auc + 0.1
        assert curves.deletion_auc < of_random.deletion_auc - 0.1


def test_curves_go_from_the_clip_to_nothing_and_back(cue):
    score, clip, where = cue
    curves = perturbation_curves(score, clip, where, baseline="mean", num_steps=5)
    assert len(curves.fractions) == len(curves.deletion) == len(curves.insertion) == 6
    assert curves.fractions[0] == 0 and curves.fractions[-1] == 1 and (curves.fractions.diff() > 0).all()
    ends = torch.stack([score(clip[None]), score(torch.zeros(1, *SIZE))]).flatten().sigmoid().detach()
    torch.testing.assert_close(curves.deletion[[0, -1]], ends)
    torch.testing.assert_close(curves.insertion[[-1, 0]], ends)


def test_the_areas_are_those_of_a_step_worked_out_by_hand(known_detector):
    # Two voxels, each a block: the first gives the whole logit.
    detector = known_detector((1, 1, 1, 2)).eval()
    with torch.no_grad():
        detector.slow.zero_()
        detector.fast.copy_(torch.tensor([100.0, 0.0]).expand(2, 1, 1, 1, 2))
    clip, score = torch.ones(1, 1, 1, 2), RoiScore(detector, torch.zeros(1, 4), 0)
    for saliency, deletion, insertion in (((1.0, 0.5), 0.625, 0.875), ((0.5, 1.0), 0.875, 0.625)):
        curves = perturbation_curves(score, clip, torch.tensor(saliency).view(1, 1, 2), baseline="mean", num_steps=2)
        assert curves.fractions.tolist() == [0, 0.5, 1]
        assert curves.deletion_auc == pytest.approx(deletion)
        assert curves.insertion_auc == pytest.approx(insertion)


def test_blocks_are_taken_whole_and_a_flat_map_takes_them_in_order(cue):
    score, clip, _ = cue
    curves = perturbation_curves(score, clip, torch.ones(SIZE[1:]), num_steps=8)
    torch.testing.assert_close(curves.fractions, torch.linspace(0, 1, 9))


def test_the_network_sees_few_clips_at_once_and_no_dropout(cue):
    score, clip, where = cue
    score.detector.train()
    first, again = (perturbation_curves(score, clip, where) for _ in range(2))
    assert torch.equal(first.deletion, again.deletion) and score.detector.most_clips <= 8
    assert score.detector.training


def test_what_cannot_be_done_is_refused(cue):
    score, clip, where = cue
    with pytest.raises((ShapeError, TypeCheckError), match="saliency"):  # the second where shapes are checked
        perturbation_curves(score, clip, where[1:])
    with pytest.raises(ConfigError, match="at least 1"):
        perturbation_curves(score, clip, where, num_steps=0)
    with pytest.raises((ConfigError, TypeCheckError), match=r"baseline.*black"):  # the second where types are checked
        perturbation_curves(score, clip, where, baseline="black")
