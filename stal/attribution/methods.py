"""Which voxels of a clip the class logit of a tubelet depends on, by seven methods.

Captum does the work where it can. It is imported when it is called for: it takes seconds.
"""

from typing import Literal, get_args

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from stal.attribution.baselines import Baseline, without_content
from stal.attribution.feature_maps import at_clip_size
from stal.attribution.roi_score import Pathway, RoiScore, attributing, device_of
from stal.errors import ConfigError
from stal.models.detector import TubeDetector

Method = Literal[
    "input_gradient",
    "gradient_x_input",
    "smoothgrad",
    "integrated_gradients",
    "grad_cam_slow",
    "grad_cam_fast",
    "occlusion",
]

SMOOTHGRAD_NOISE = 0.15
"""Standard deviation of SmoothGrad's noise, as a share of the range of the clip's values."""
SMOOTHGRAD_SAMPLES = 25
INTEGRATION_STEPS = 32
OCCLUSION_PARTS = (4, 8, 8)
"""Into how many blocks occlusion cuts a clip along its frames, rows and columns."""

_BATCH_SIZE = 8  # clips in one pass of the network, which bounds the memory


def attribute(
    detector: TubeDetector,
    clip: Float[Tensor, "C T H W"],
    tubelet: Float[Tensor, "T 4"],
    label: int,
    *,
    method: Method = "input_gradient",
    pathway: Pathway = "both",
    baseline: Baseline = "blur",
    generator: torch.Generator | None = None,
) -> Float32[Tensor, "_ T H W"]:
    """Return what each voxel of a clip does for the class logit of a tubelet.

    The network is in evaluation mode and in full precision for the call; nothing of it changes.

    - `input_gradient`: d logit / d clip (Simonyan et al. 2014, arXiv 1312.6034).
    - `gradient_x_input`: that times the clip (Shrikumar et al. 2017, arXiv 1605.01713).
    - `smoothgrad`: the mean gradient of the clip with noise (Smilkov et al. 2017, arXiv 1706.03825).
    - `integrated_gradients`: the mean gradient on the way from a baseline to the clip, times their difference
      (Sundararajan et al. 2017, arXiv 1703.01365). It adds up to the rise of the logit from the baseline to the clip.
    - `grad_cam_slow`, `grad_cam_fast`: the last features of a pathway, weighted by their mean gradients (Selvaraju et
      al. 2017, arXiv 1610.02391), where they speak for the class. A backbone with one pathway has the first only.
    - `occlusion`: how much the logit falls if a block of the clip is that of the baseline (Zeiler & Fergus 2014, arXiv
      1311.2901).

    Args:
        detector: the network.
        clip: a normalised clip.
        tubelet: xyxy pixels of the clip, on each of its frames.
        label: the class.
        method: one of the above.
        pathway: the way into the network that is looked at; see `RoiScore`. The maps for `slow` and `fast` add up to
            that for `both`, but for occlusion, which hides a block from one pathway while the other sees it.
        baseline: of integrated gradients and occlusion, see `without_content`.
        generator: source of SmoothGrad's noise, on the CPU.

    Returns:
        Signed; with the clip's colours, or with one channel for Grad-CAM and occlusion. On the detector's device.

    Raises:
        ConfigError: there is no such method, pathway or baseline, Grad-CAM is asked for a pathway's way in, SmoothGrad
            has no generator, or the pathways are to be told apart of a backbone that has one.
    """
    if method not in get_args(Method):
        raise ConfigError(f"method {method!r} is none of {', '.join(get_args(Method))}")
    held = clip if method == "occlusion" else None
    score = RoiScore(detector, tubelet, label, pathway, held=held)
    clips = clip[None].detach().float().to(device_of(detector))
    with torch.enable_grad(), attributing(score):
        match method:
            case "input_gradient":
                attribution = _input_gradient(score, clips)
            case "gradient_x_input":
                attribution = _gradient_x_input(score, clips)
            case "smoothgrad":
                if generator is None:
                    raise ConfigError("method 'smoothgrad' draws noise: give it a generator")
                attribution = _smoothgrad(score, clips, generator)
            case "integrated_gradients":
                attribution = _integrated_gradients(score, clips, without_content(clips[0], baseline)[None])
            case "grad_cam_slow" | "grad_cam_fast":
                if pathway != "both":
                    raise ConfigError(
                        f"method {method!r} looks at the last features of a pathway, and not at its way in: "
                        f"pathway {pathway!r} must be 'both'"
                    )
                attribution = _grad_cam(score, clips, method)
            case "occlusion":
                attribution = _occlusion(score, clips, without_content(clips[0], baseline)[None])
    return attribution[0].detach()


def _input_gradient(score: RoiScore, clips: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B C T H W"]:
    from captum.attr import Saliency

    return Saliency(score).attribute(clips.requires_grad_(), abs=False)


def _gradient_x_input(score: RoiScore, clips: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B C T H W"]:
    from captum.attr import InputXGradient

    return InputXGradient(score).attribute(clips.requires_grad_())


def _smoothgrad(
    score: RoiScore, clips: Float[Tensor, "1 C T H W"], generator: torch.Generator
) -> Float[Tensor, "1 C T H W"]:
    """Return the mean gradient of the clip with noise.

    Captum's NoiseTunnel draws from torch's global state, and so other noise on every device: ours is that of the
    generator, on the CPU.
    """
    deviation = SMOOTHGRAD_NOISE * (clips.max() - clips.min())
    total = torch.zeros_like(clips)
    for start in range(0, SMOOTHGRAD_SAMPLES, _BATCH_SIZE):
        num_samples = min(_BATCH_SIZE, SMOOTHGRAD_SAMPLES - start)
        noise = torch.randn((num_samples, *clips.shape[1:]), generator=generator).to(clips.device)
        total += _input_gradient(score, clips + deviation * noise).sum(0, keepdim=True)
    return total / SMOOTHGRAD_SAMPLES


def _integrated_gradients(
    score: RoiScore, clips: Float[Tensor, "1 C T H W"], baselines: Float[Tensor, "1 C T H W"]
) -> Float[Tensor, "1 C T H W"]:
    from captum.attr import IntegratedGradients

    return IntegratedGradients(score).attribute(
        clips, baselines=baselines, n_steps=INTEGRATION_STEPS, internal_batch_size=_BATCH_SIZE
    )


def _grad_cam(
    score: RoiScore, clips: Float[Tensor, "1 C T H W"], method: Literal["grad_cam_slow", "grad_cam_fast"]
) -> Float[Tensor, "1 1 T H W"]:
    """Return where a pathway's last features speak for the class.

    As in the paper, what speaks against it is zero. The features' weights are the same everywhere: like features far
    from the tubelet are shown too, though the logit is read from those inside it.

    Captum's interpolation would put the slow frames in the middles of equal parts of the clip: they lie where the
    backbone says.
    """
    from captum.attr import LayerGradCam

    backbone = score.detector.backbone
    slow_end, *fast_ends = backbone.pathway_ends
    num_frames, height, width = clips.shape[2:]
    if method == "grad_cam_slow":
        layer, frames = slow_end, backbone.slow_frames(num_frames)
    elif fast_ends:
        layer, frames = fast_ends[0], torch.arange(num_frames)
    else:
        raise ConfigError(
            f"method 'grad_cam_fast': {type(backbone).__name__} has one pathway, whose features 'grad_cam_slow' shows"
        )
    maps = LayerGradCam(score, layer).attribute(clips.requires_grad_(), relu_attributions=True)
    return at_clip_size(maps, frames, backbone.spatial_stride, (num_frames, height, width))


def _occlusion(
    score: RoiScore, clips: Float[Tensor, "1 C T H W"], baselines: Float[Tensor, "1 C T H W"]
) -> Float[Tensor, "1 1 T H W"]:
    from captum.attr import Occlusion

    channels, *size = clips.shape[1:]
    block = (channels, *(-(-length // parts) for length, parts in zip(size, OCCLUSION_PARTS, strict=True)))
    falls = Occlusion(score).attribute(
        clips, sliding_window_shapes=block, strides=block, baselines=baselines, perturbations_per_eval=_BATCH_SIZE
    )
    return falls[:, :1]
