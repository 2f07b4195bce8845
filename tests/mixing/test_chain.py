import dataclasses

import pytest
import torch

from stal.engine.build import build
from stal.errors import ConfigError
from stal.mixing.actor_cut_mix import ActorCutMix
from stal.mixing.batch_mix import BatchMix
from stal.mixing.chain import Chain
from stal.mixing.cuboid_mix import CuboidMix
from stal.mixing.fame import FAME
from stal.mixing.scene_swap import SceneSwap
from stal.mixing.still_mix import StillMix
from stal.structures import ClipBatch

FRAMES, HEIGHT, WIDTH = 2, 6, 8


def three_clips() -> ClipBatch:
    """Return clips with one actor each, side by side, whose value and label are 0, 1 and 2."""
    boxes = tuple(torch.tensor([[[2.0 * i, 0, 2.0 * i + 2, 6.0]] * FRAMES]) for i in range(3))
    return ClipBatch(
        torch.arange(3).view(3, 1, 1, 1, 1).repeat(1, 3, FRAMES, HEIGHT, WIDTH).byte(),
        boxes,
        (torch.ones(1, FRAMES, dtype=torch.bool),) * 3,
        tuple(torch.tensor([i]) for i in range(3)),
    )


def test_a_chain_is_its_mixers_one_after_the_other():
    batch, first, second = three_clips(), BatchMix(probability=1.0), CuboidMix(probability=1.0)
    generator, same = torch.Generator().manual_seed(5), torch.Generator().manual_seed(5)
    chained = Chain([first, second])(batch, generator)
    expected = second(first(batch, same), same)
    for field in dataclasses.fields(ClipBatch):
        left, right = getattr(chained, field.name), getattr(expected, field.name)
        assert (left is None and right is None) or all(map(torch.equal, left, right)), field.name
    assert torch.equal(generator.get_state(), same.get_state())


def test_sources_are_clips_of_the_batch_as_it_came_in():
    """An actor that was pasted into a clip, and from there into another, comes from its own clip."""
    chain = Chain([BatchMix(probability=1.0), BatchMix(probability=1.0, max_pasted=2)])
    travelled = 0
    for seed in range(10):
        mixed = chain(three_clips(), torch.Generator().manual_seed(seed))
        assert torch.equal(mixed.clips[:, 0], mixed.voxel_sources)
        for host, (labels, sources) in enumerate(zip(mixed.labels, mixed.sources, strict=True)):
            assert labels.tolist() == sources.tolist()
            travelled += len(set(sources.tolist()) - {host}) == 2
    assert travelled


def test_label_weights_multiply():
    def halve(batch: ClipBatch, generator: torch.Generator) -> ClipBatch:
        return dataclasses.replace(batch, label_weights=tuple(w / 2 for w in batch.label_weights))

    batch = three_clips()
    generator = torch.Generator().manual_seed(0)
    mixed = CuboidMix(probability=1.0, min_visible=0.0)(batch, generator)
    chained = Chain([BatchMix(probability=0.0), halve, CuboidMix(probability=1.0, min_visible=0.0)])
    for seed in range(5):
        plain = Chain([BatchMix(probability=0.0), CuboidMix(probability=1.0, min_visible=0.0)])
        a = chained(batch, torch.Generator().manual_seed(seed))
        b = plain(batch, torch.Generator().manual_seed(seed))
        assert all(torch.equal(x, y / 2) for x, y in zip(a.label_weights, b.label_weights, strict=True))
    assert any((weights < 1).any() for weights in mixed.label_weights)


def test_a_config_names_a_chain():
    chain = build(dict(type=Chain, mixers=[dict(type=BatchMix, probability=0.25), dict(type=CuboidMix)]))
    assert chain.mixers == [BatchMix(probability=0.25), CuboidMix()]


def test_a_chain_of_nothing_is_an_error():
    with pytest.raises(ConfigError, match="mixer=None"):
        Chain([])


@pytest.mark.parametrize("last", [SceneSwap(), ActorCutMix(), Chain([SceneSwap(), BatchMix()])], ids=str)
@pytest.mark.parametrize(
    "first", [BatchMix(), CuboidMix(), FAME(), StillMix(), Chain([ActorCutMix(), BatchMix()])], ids=str
)
def test_scenes_are_emptied_of_their_actors_before_some_are_hidden(first, last):
    with pytest.raises(ConfigError, match=r"(SceneSwap|ActorCutMix) comes after .*swap first, then paste"):
        Chain([first, last])
    Chain([last, first] if not isinstance(last, Chain) and not isinstance(first, Chain) else [last])


def test_mixers_that_empty_scenes_may_follow_each_other():
    """Of those whom they put on a scene all is seen, and labelled."""
    assert len(Chain([SceneSwap(), ActorCutMix(), SceneSwap(), BatchMix()]).mixers) == 4


def test_an_actor_is_the_same_to_all_mixers():
    Chain([SceneSwap(mask="silhouette"), BatchMix(mask="silhouette")])
    with pytest.raises(ConfigError, match=r"masks \['box', 'silhouette'\]; give all of them the same"):
        Chain([SceneSwap(mask="silhouette"), Chain([BatchMix()])])
