"""How a published network is fine-tuned to find actors and tell actions: PySlowFast's recipe for AVA.

From `configs/AVA/SLOWFAST_32x2_R50_SHORT.yaml` and `SLOW_8x8_R50_SHORT.yaml` of facebookresearch/SlowFast, the code of
Feichtenhofer et al. 2019 (arXiv 1812.03982, section 5):

- weights of Kinetics; a last stage that dilates by 2 and does not stride; clips of 32 frames, a short side of 224;
- 20 epochs of SGD, momentum 0.9, weight decay 1e-7; a learning rate of 0.1 for 64 clips, so 0.0125 for the
  8 here; it rises from 0.00125 times that over 5 epochs, and falls to a tenth after 10 and again after 15;
- independent classes with a binary cross-entropy, dropout of 0.5 before the last layer.

Otherwise than there:

- BatchNorm's statistics are frozen, or the penalty's gradients would reach from clip to clip; so does joslefaure/HIT
  (`config_files/hitnet.yaml`), which fine-tunes SlowFast R50 for JHMDB-21;
- frames are consecutive, as in HIT, and not every second: the videos of JHMDB-21 have 15 to 40;
- boxes are the network's own, trained along, and not those of a person detector; gradients are clipped at a norm of 10;
- an epoch is a number of clips of every video, not of every keyframe; weight decay is on normalisation too.
"""

from mmengine.optim import LinearLR, MultiStepLR
from torch.optim import SGD

from stal.engine.model import DetectionModel
from stal.engine.optim_wrapper import GuardedOptimWrapper
from stal.engine.preprocessor import ClipPreprocessor
from stal.models.detector import TubeDetector

model = dict(
    type=DetectionModel,
    data_preprocessor=dict(type=ClipPreprocessor, mixer=None),
    penalty=None,
    detector=dict(type=TubeDetector),
)

train_cfg = dict(by_epoch=True, max_epochs=20)
optim_wrapper = dict(
    type=GuardedOptimWrapper,
    optimizer=dict(type=SGD, lr=0.0125, momentum=0.9, weight_decay=1e-7, fused=True),
    clip_grad=dict(max_norm=10.0),
)
auto_scale_lr = dict(enable=False, base_batch_size=8)  # the batch that the learning rates are for
param_scheduler = [
    dict(type=LinearLR, start_factor=0.00125, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(type=MultiStepLR, by_epoch=True, milestones=[10, 15], gamma=0.1),
]
