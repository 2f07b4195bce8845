import numpy as np
import pytest
import torch
import torch.nn.functional as F

from stal.data import pixels

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(params=["memory", "other", pytest.param("cuda", marks=[pytest.mark.gpu, needs_gpu])])
def device(request, monkeypatch) -> str:
    """Where to compute; `other` is the code for other devices, run on the CPU."""
    if request.param == "other":
        monkeypatch.setattr(pixels, "_in_memory", lambda frames: False)
    return "cuda" if request.param == "cuda" else "cpu"


def frames_of(layout: str, height: int = 11, width: int = 17) -> torch.Tensor:
    """(3, T, H, W) uint8 frames that lie in memory in the order of `layout`."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (3, 4, height, width), generator=generator).to(torch.uint8)
    return frames if layout == "CTHW" else frames.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2)


@pytest.fixture(params=["CTHW", "THWC"])
def frames(request) -> torch.Tensor:
    return frames_of(request.param)


def assert_close(found: torch.Tensor, expected: torch.Tensor, atol: int = 1) -> None:
    assert found.dtype == torch.uint8
    torch.testing.assert_close(found.cpu().int(), expected.int(), atol=atol, rtol=0)


@pytest.mark.parametrize("size", [(11, 17), (22, 34), (5, 8), (13, 9), (1, 1)])
def test_stretching_is_bilinear_with_a_low_pass(frames, device, size):
    values = F.interpolate(frames.transpose(0, 1).double(), size, mode="bilinear", antialias=True).transpose(0, 1)
    assert_close(pixels.stretch(frames.to(device), *size), values.round())


@pytest.mark.parametrize(
    "window", [(0, 0, 11, 17), (2, 3, 5, 6), (-2, -3, 16, 24), (-4, 5, 8, 9), (10, 16, 3, 3), (4, -7, 3, 8)]
)
def test_a_window_is_what_padding_by_zeros_leaves(frames, device, window):
    top, left, height, width = window
    expected = F.pad(frames, (-left, left + width - 17, -top, top + height - 11))
    assert_close(pixels.cut(frames.to(device), *window), expected, atol=0)


def test_a_mirror_exchanges_left_and_right(frames, device):
    assert_close(pixels.mirror(frames.to(device)), frames.flip(-1), atol=0)


@pytest.mark.parametrize("factors", [(1.0, 1.0, 1.0), (1.4, 0.7, 0.0), (0.6, 1.3, 1.2), (0.0, 1.0, 1.0)])
def test_colours_are_changed_by_three_factors(frames, device, factors):
    brightness, contrast, saturation = factors
    luma = np.array([0.299, 0.587, 0.114])
    rgb = frames.permute(1, 2, 3, 0).double().numpy()
    rgb = brightness * (contrast * rgb + (1 - contrast) * (rgb @ luma).mean())
    expected = (saturation * rgb + (1 - saturation) * (rgb @ luma)[..., None]).clip(0, 255).round()
    found = pixels.recolour(frames.to(device), *factors)
    assert_close(found, torch.from_numpy(expected).permute(3, 0, 1, 2))


def test_nothing_is_changed_in_place(frames):
    before = frames.clone()
    pixels.mirror(frames)
    pixels.recolour(frames, 0.5, 0.5, 0.5)
    pixels.stretch(frames, 20, 20)
    pixels.cut(frames, -1, -1, 20, 20)
    assert torch.equal(frames, before)


def test_decoded_frames_stay_in_their_order_in_memory():
    frames = frames_of("THWC")
    for changed in (
        pixels.stretch(frames, 20, 30),
        pixels.cut(frames, -1, -1, 20, 30),
        pixels.mirror(frames),
        pixels.recolour(frames, 1.1, 0.9, 1.0),
    ):
        assert changed.permute(1, 2, 3, 0).is_contiguous()
