import pytest
import torch

from stal.models.backbone import SlowFast

CLIPS = torch.randn(2, 3, 8, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def backbone() -> SlowFast:
    torch.manual_seed(0)
    stems = ((1, 3, 3), (3, 3, 3))
    return SlowFast(depth=18, width=8, channel_ratio=4, norm="group", fusion_kernel=3, stem_kernels=stems).eval()


def test_the_ends_of_the_pathways_give_the_features(backbone):
    found = []
    hooks = [end.register_forward_hook(lambda *of_call: found.append(of_call[-1])) for end in backbone.pathway_ends]
    features = backbone(CLIPS)
    for hook in hooks:
        hook.remove()
    assert torch.equal(features.slow, found[0]) and torch.equal(features.fast, found[1])


def test_the_slow_pathway_can_see_other_clips(backbone):
    same, others = backbone(CLIPS, CLIPS), backbone(CLIPS, CLIPS.flip(0))
    for of_same, of_default in zip(same, backbone(CLIPS), strict=True):
        assert torch.equal(of_same, of_default)
    assert torch.equal(others.fast, same.fast) and torch.equal(others.fine, same.fine)
    assert not torch.isclose(others.slow, same.slow).all()


def test_of_the_slow_pathways_clips_only_its_frames_count(backbone):
    slow_clips = torch.zeros_like(CLIPS)
    frames = backbone.slow_frames(8)
    slow_clips[:, :, frames] = CLIPS[:, :, frames]
    assert torch.equal(backbone(CLIPS, slow_clips).slow, backbone(CLIPS).slow)
