import pytest
import torch
from jaxtyping import TypeCheckError

from stal.attribution.baselines import without_content
from stal.errors import ConfigError

CLIP = torch.randn(3, 4, 24, 32, generator=torch.Generator().manual_seed(0)) + 1


def test_the_mean_colour_is_zero():
    assert not without_content(CLIP, "mean").any()


def test_a_blur_keeps_brightness_and_flat_frames_and_takes_the_forms_frame_by_frame():
    blurred = without_content(CLIP, "blur")
    assert blurred.mean().item() == pytest.approx(CLIP.mean().item(), abs=0.1)
    assert blurred.std() < 0.2 * CLIP.std()
    torch.testing.assert_close(without_content(torch.full_like(CLIP, 0.7), "blur"), torch.full_like(CLIP, 0.7))
    changed = CLIP.clone()
    changed[:, 2] = 0
    assert torch.equal(without_content(changed, "blur")[:, [0, 1, 3]], blurred[:, [0, 1, 3]])


@pytest.mark.parametrize("size", [(2, 2), (2, 9), (5, 6)])
def test_small_clips_can_be_blurred(size):
    assert without_content(torch.rand(3, 2, *size), "blur").shape == (3, 2, *size)


def test_an_unknown_baseline_is_refused():
    with pytest.raises((ConfigError, TypeCheckError), match=r"baseline.*black"):  # the second where types are checked
        without_content(CLIP, "black")
