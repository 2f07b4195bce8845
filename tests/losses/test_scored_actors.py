"""What penalties are told of the actors of a batch."""

import pytest
import torch

from stal.errors import PenaltyError
from stal.losses.scored_actors import softmax_entropy


def test_masks_of_a_clip_are_the_union_of_its_actors(scored, scorer):
    actors = scored(scorer, clip_index=(0, 2, 0, 0))
    masks = actors.clip_masks()
    assert masks.dtype == torch.bool
    assert masks[0].equal(actors.masks[0] | actors.masks[2] | actors.masks[3])
    assert (actors.masks[0] & actors.masks[2]).any() and masks[2].equal(actors.masks[1]) and not masks[1].any()
    none = scored(scorer, clip_index=()).clip_masks()
    assert none.shape == masks.shape and not none.any()


def test_targets_are_the_label_weight_at_the_actors_class(scored, scorer):
    actors = scored(scorer, labels=torch.tensor([1, 0, 1]))
    assert actors.targets.tolist() == [[0, 1, 0], [1, 0, 0], [0, 1, 0]]
    assert actors.own_logits().equal(actors.logits[[0, 1, 2], [1, 0, 1]])
    weights = torch.tensor([0.5, 1.0, 0.0], dtype=torch.float64)
    assert scored(scorer, label_weights=weights).targets.sum(1).equal(weights)


def test_scenes_are_refused_where_none_or_too_many_are_known(scored, scorer):
    scenes = torch.tensor([2, -1, 0])
    assert scored(scorer, scenes=scenes).known_scenes(3).equal(scenes)
    assert len(scored(scorer, clip_index=()).known_scenes(3)) == 0
    with pytest.raises(PenaltyError, match="shows scene 2"):
        scored(scorer, scenes=scenes).known_scenes(2)
    with pytest.raises(PenaltyError, match="made without"):
        scored(scorer).known_scenes(3)


def test_entropy_is_largest_for_equal_logits_wherever_they_are():
    logits = torch.tensor([[5.0, 5.0, 5.0, 5.0], [-5.0, -5.0, -5.0, -5.0], [1000.0, 0.0, 0.0, 0.0]])
    assert softmax_entropy(logits).tolist() == pytest.approx([torch.tensor(4.0).log().item()] * 2 + [0])
