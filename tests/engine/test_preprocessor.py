import copy

import pytest
import torch
from mmengine.logging import MessageHub

from stal.engine.preprocessor import ClipPreprocessor
from stal.mixing.batch_mix import BatchMix
from stal.mixing.chain import Chain
from stal.mixing.scene_swap import SceneSwap
from stal.mixing.still_mix import StillMix
from stal.structures import Clip


def clip(value: int, boxes: list[list[float]], *, silhouettes: bool = False, frames: int = 2) -> Clip:
    """Return an even clip of 6 x 8 pixels whose actors stand still."""
    actors = torch.tensor(boxes).reshape(-1, 1, 4).repeat(1, frames, 1)
    masks = torch.zeros(len(boxes), frames, 6, 8, dtype=torch.bool)
    masks[..., 0, 0] = True
    return Clip(
        frames=torch.full((3, frames, 6, 8), value, dtype=torch.uint8),
        boxes=actors,
        valid=torch.ones(len(boxes), frames, dtype=torch.bool),
        labels=torch.zeros(len(boxes), dtype=torch.int64),
        actor_masks=masks if silhouettes else None,
        video_key="a",
        frame_indices=torch.arange(frames),
        to_video=torch.tensor([1.0, 1.0, 0.0, 0.0]),
        video_size=(6, 8),
    )


CLIPS = [clip(10, [[0.0, 0.0, 2.0, 2.0]]), clip(200, [[4.0, 2.0, 8.0, 6.0], [0.0, 0.0, 1.0, 1.0]]), clip(90, [])]


def test_each_channel_gets_zero_mean_and_unit_variance():
    preprocessor = ClipPreprocessor(mean=(0.0, 10.0, 20.0), std=(1.0, 2.0, 5.0))
    normalized = preprocessor.prepare(CLIPS[:1]).batch.clips
    assert normalized.dtype == torch.float32
    assert normalized[0, :, 1, 3, 4].tolist() == [10.0, 0.0, -2.0]


def test_the_default_scale_is_that_of_slowfast():
    grey = ClipPreprocessor().prepare([clip(0, []), clip(255, [])]).batch.clips
    torch.testing.assert_close(grey.amax((1, 2, 3, 4)), torch.tensor([-0.45 / 0.225, 0.55 / 0.225]))


def test_in_testing_clips_are_neither_mixed_nor_given_provenance():
    prepared = ClipPreprocessor(BatchMix(probability=1.0)).prepare(CLIPS, training=False)
    assert prepared.batch.provenance is None
    assert prepared.batch.sources is None
    assert [clip.video_key for clip in prepared.clips] == [clip.video_key for clip in CLIPS]
    assert [len(labels) for labels in prepared.batch.labels] == [1, 2, 0]


def test_in_training_without_a_mixer_provenance_is_added():
    batch = ClipPreprocessor().prepare(CLIPS, training=True).batch
    assert batch.provenance[0, 0, :3, :3].tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert [sources.tolist() for sources in batch.sources] == [[0], [1, 1], []]
    torch.testing.assert_close(batch.clips, ClipPreprocessor().prepare(CLIPS).batch.clips)


def test_silhouettes_mark_the_actors_if_asked_for():
    batch = ClipPreprocessor(mask="silhouette").prepare([clip(0, [[0.0, 0.0, 3.0, 3.0]], silhouettes=True)], True).batch
    assert int((batch.provenance == 1).sum(dtype=torch.int64)) == 2  # one pixel on two frames


def test_in_training_the_mixer_mixes_before_values_are_normalised():
    batch = (
        ClipPreprocessor(BatchMix(probability=1.0), mean=(0.0,) * 3, std=(1.0,) * 3).prepare(CLIPS, training=True).batch
    )
    for values, provenance, sources in zip(batch.clips, batch.provenance, batch.sources, strict=True):
        for row, source in enumerate(sources.tolist()):
            assert (values[:, provenance == row + 1] == CLIPS[source].frames[0, 0, 0, 0]).all()
    assert batch.sources[2].numel() == 1  # nobody acts there but who was pasted


@pytest.mark.parametrize(
    "mixer", [None, BatchMix(probability=1.0), Chain([SceneSwap(probability=1.0), StillMix(probability=1.0)])], ids=str
)
def test_originals_are_the_clips_before_any_mixer_if_they_are_asked_for(mixer):
    assert ClipPreprocessor(mixer).prepare(CLIPS, training=True).batch.originals is None
    preprocessor = ClipPreprocessor(mixer, keep_originals=True)
    before = preprocessor.prepare(CLIPS)
    assert before.batch.originals is None  # in testing nothing is mixed
    batch = preprocessor.prepare(CLIPS, training=True).batch
    assert torch.equal(batch.originals, before.batch.clips)
    assert torch.equal(batch.originals, batch.clips) == (mixer is None)


@pytest.fixture(autouse=True)
def message_hub(tmp_path) -> MessageHub:
    """Give each test a message hub of its own, as a runner has."""
    return MessageHub.get_instance(f"test in {tmp_path}")


def drawn(preprocessor: ClipPreprocessor, num_batches: int = 6) -> list[torch.Tensor]:
    return [preprocessor.prepare(CLIPS, training=True).batch.provenance for _ in range(num_batches)]


def assert_all_equal(a: list[torch.Tensor], b: list[torch.Tensor]) -> None:
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_mixes_differ_from_batch_to_batch_and_follow_from_the_seed():
    first = drawn(ClipPreprocessor(BatchMix(), seed=3))
    assert len({tuple(volume.flatten().tolist()) for volume in first}) > 1
    torch.rand(7)
    assert_all_equal(first, drawn(ClipPreprocessor(BatchMix(), seed=3)))
    other = drawn(ClipPreprocessor(BatchMix(), seed=4))
    assert any(not torch.equal(x, y) for x, y in zip(first, other, strict=True))


def test_without_a_seed_torchs_own_is_taken():
    torch.manual_seed(3)
    preprocessor = ClipPreprocessor(BatchMix())
    assert_all_equal(drawn(preprocessor), drawn(ClipPreprocessor(BatchMix(), seed=3)))


def test_a_resumed_training_mixes_as_one_that_was_never_cut_off(message_hub):
    whole = drawn(ClipPreprocessor(BatchMix(), seed=3))
    message_hub.update_info("iter", 4)
    assert_all_equal(whole[4:], drawn(ClipPreprocessor(BatchMix(), seed=3), num_batches=2))


def test_a_preprocessor_can_be_copied_and_adds_nothing_to_the_weights():
    preprocessor = copy.deepcopy(ClipPreprocessor(BatchMix()))
    assert preprocessor.state_dict() == {}
