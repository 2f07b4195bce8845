import pytest
import torch
from jaxtyping import TypeCheckError

from stal.attribution.roi_score import RoiScore, attributing, class_score
from stal.errors import ConfigError, ShapeError

SIZE = (3, 4, 5, 6)
CLIPS = torch.randn(3, *SIZE, generator=torch.Generator().manual_seed(1))
TUBELET = torch.tensor([1.0, 1.0, 4.0, 4.0]).repeat(SIZE[1], 1)


@pytest.mark.parametrize("pathway", ["both", "slow", "fast"])
def test_it_is_the_logit_of_each_clip_whatever_the_pathway(small_detector, pathway):
    clips = torch.randn(3, 3, 8, 32, 48, generator=torch.Generator().manual_seed(1))
    tubelet = torch.tensor([4.0, 4.0, 30.0, 28.0]).repeat(8, 1)
    expected = small_detector.class_logits(clips, tubelet.expand(3, -1, -1), torch.arange(3))[:, 1]
    torch.testing.assert_close(RoiScore(small_detector, tubelet, 1, pathway)(clips), expected)


def test_the_other_pathway_can_be_held_at_one_clip(known_detector):
    detector = known_detector().eval()
    found = RoiScore(detector, TUBELET, 0, "slow", held=CLIPS[0])(CLIPS[1:]).detach()
    of_slow = (detector.weights("slow", 0) * CLIPS[1:]).sum((1, 2, 3, 4))
    torch.testing.assert_close(found, of_slow + (detector.weights("fast", 0) * CLIPS[0]).sum())


def test_the_class_score_is_the_logits_sigmoid_without_dropout(known_detector):
    detector = known_detector().train()
    expected = (detector.weights("both", 1) * CLIPS[0]).sum().sigmoid().item()
    assert class_score(detector, CLIPS[0], TUBELET, 1) == pytest.approx(expected)


def test_a_tubelet_of_other_frames_is_refused(known_detector):
    with pytest.raises(ShapeError, match="tubelet of 4 frames cannot be scored in clips of 3"):
        RoiScore(known_detector(), TUBELET, 0)(CLIPS[:, :, :3])


def test_an_unknown_pathway_is_refused(known_detector):
    with pytest.raises((ConfigError, TypeCheckError), match=r"pathway.*fats"):  # the second where types are checked
        RoiScore(known_detector(), TUBELET, 0, "fats")


def test_modes_come_back_part_by_part(known_detector):
    detector = known_detector().train()
    detector.dropout.eval()
    with attributing(detector):
        assert not detector.training
    assert detector.training and not detector.dropout.training
