"""Small networks as other projects build and name them, with random weights."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

WIDTH, RATIO, CLASSES = 8, 4, 5
BLOCKS = {18: (1, 1, 1, 1), 50: (3, 4, 6, 3)}
SLOW_KERNELS, FAST_KERNELS = (1, 1, 3, 3), (3, 3, 3, 3)  # frames of the first convolution of the blocks of each stage


def conv(inputs: int, outputs: int, kernel: tuple[int, int, int], stride: int = 1, dilation: int = 1) -> nn.Conv3d:
    padding = (kernel[0] // 2, dilation * (kernel[1] // 2), dilation * (kernel[2] // 2))
    strides, dilations = (1, stride, stride), (1, dilation, dilation)
    return nn.Conv3d(inputs, outputs, kernel, strides, padding, dilations, bias=False)


def fusion_conv(channels: int, kernel: int, alpha: int) -> nn.Conv3d:
    return nn.Conv3d(channels, 2 * channels, (kernel, 1, 1), (alpha, 1, 1), (kernel // 2, 0, 0), bias=False)


def pool(maps: Tensor) -> Tensor:
    return nn.functional.max_pool3d(maps, (1, 3, 3), (1, 2, 2), (0, 1, 1))


class PySlowFastBlock(nn.Module):
    def __init__(self, inputs: int, inner: int, kernel: int, stride: int, dilation: int) -> None:
        super().__init__()
        if inputs != 4 * inner or stride > 1:
            self.branch1, self.branch1_bn = conv(inputs, 4 * inner, (1, 1, 1), stride), nn.BatchNorm3d(4 * inner)
        self.branch2 = nn.ModuleDict(
            {
                "a": conv(inputs, inner, (kernel, 1, 1)),
                "a_bn": nn.BatchNorm3d(inner),
                "b": conv(inner, inner, (1, 3, 3), stride, dilation),
                "b_bn": nn.BatchNorm3d(inner),
                "c": conv(inner, 4 * inner, (1, 1, 1)),
                "c_bn": nn.BatchNorm3d(4 * inner),
            }
        )

    def forward(self, maps: Tensor) -> Tensor:
        inner, layers = maps, self.branch2
        for name in "abc":
            inner = layers[f"{name}_bn"](layers[name](inner))
            inner = inner if name == "c" else inner.relu()
        shortcut = self.branch1_bn(self.branch1(maps)) if hasattr(self, "branch1") else maps
        return (shortcut + inner).relu()


class PySlowFast(nn.Module):
    """PySlowFast's SlowFast, or its slow network; the slow pathway sees frames that are spread evenly."""

    def __init__(
        self, *, depth: int = 18, alpha: int = 4, kernel: int = 5, two: bool = True, detector: bool = False
    ) -> None:
        super().__init__()
        self.alpha, self.num_blocks = alpha, BLOCKS[depth]
        widths = [WIDTH, WIDTH // RATIO][: 1 + two]
        self.s1 = nn.Module()
        for pathway, width in enumerate(widths):
            stem = nn.Module()
            stem.conv, stem.bn = conv(3, width, ((1, 5)[pathway], 7, 7), 2), nn.BatchNorm3d(width)
            self.s1.add_module(f"pathway{pathway}_stem", stem)
        inputs = list(widths)
        for stage in range(4):
            if two:
                fuse = nn.Module()
                fuse.conv_f2s, fuse.bn = fusion_conv(inputs[1], kernel, alpha), nn.BatchNorm3d(2 * inputs[1])
                self.add_module(f"s{stage + 1}_fuse", fuse)
                inputs[0] += 2 * inputs[1]
            blocks = nn.Module()
            strides = (1, 2, 2, 1 if detector else 2)
            for pathway, width in enumerate(widths):
                inner = width * 2**stage
                for block in range(self.num_blocks[stage]):
                    stride = 1 if block else strides[stage]
                    dilation = 2 if detector and stage == 3 else 1
                    frames = (SLOW_KERNELS, FAST_KERNELS)[pathway][stage]
                    module = PySlowFastBlock(inputs[pathway], inner, frames, stride, dilation)
                    blocks.add_module(f"pathway{pathway}_res{block}", module)
                    inputs[pathway] = 4 * inner
            self.add_module(f"s{stage + 2}", blocks)
        self.head = nn.Module()
        self.head.projection = nn.Linear(sum(inputs), CLASSES)

    def forward(self, clips: Tensor) -> tuple[list[Tensor], Tensor]:
        num_frames = clips.shape[2]
        maps = [clips[:, :, torch.linspace(0, num_frames - 1, num_frames // self.alpha).long()]]
        if hasattr(self, "s1_fuse"):
            maps.append(clips)
        for pathway in range(len(maps)):
            stem = getattr(self.s1, f"pathway{pathway}_stem")
            maps[pathway] = pool(stem.bn(stem.conv(maps[pathway])).relu())
        for stage, num_blocks in enumerate(self.num_blocks):
            if len(maps) == 2:
                fuse = getattr(self, f"s{stage + 1}_fuse")
                maps[0] = torch.cat([maps[0], fuse.bn(fuse.conv_f2s(maps[1])).relu()], 1)
            for pathway in range(len(maps)):
                for block in range(num_blocks):
                    maps[pathway] = getattr(getattr(self, f"s{stage + 2}"), f"pathway{pathway}_res{block}")(
                        maps[pathway]
                    )
        return maps, self.head.projection(torch.cat([each.mean((2, 3, 4)) for each in maps], 1))


class ConvModule(nn.Module):
    def __init__(self, convolution: nn.Conv3d, *, norm: bool = True, relu: bool = True) -> None:
        super().__init__()
        self.conv, self.relu = convolution, relu
        if norm:
            self.bn = nn.BatchNorm3d(convolution.out_channels)

    def forward(self, maps: Tensor) -> Tensor:
        maps = self.conv(maps)
        maps = self.bn(maps) if hasattr(self, "bn") else maps
        return maps.relu() if self.relu else maps


class Bottleneck3d(nn.Module):
    def __init__(self, inputs: int, inner: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvModule(conv(inputs, inner, (kernel, 1, 1)))
        self.conv2 = ConvModule(conv(inner, inner, (1, 3, 3), stride))
        self.conv3 = ConvModule(conv(inner, 4 * inner, (1, 1, 1)), relu=False)
        if inputs != 4 * inner or stride > 1:
            self.downsample = ConvModule(conv(inputs, 4 * inner, (1, 1, 1), stride), relu=False)

    def forward(self, maps: Tensor) -> Tensor:
        shortcut = self.downsample(maps) if hasattr(self, "downsample") else maps
        return (self.conv3(self.conv2(self.conv1(maps))) + shortcut).relu()


class Pathway(nn.Module):
    """mmaction2's pathway; with `fast_width` it takes in another one, without norm and activation."""

    def __init__(
        self, width: int, kernels: tuple[int, ...], stem: int, strides: tuple[int, ...], depth: int, **fusion: int
    ) -> None:
        super().__init__()
        self.conv1 = ConvModule(conv(3, width, (stem, 7, 7), 2))
        inputs = width
        for stage, num_blocks in enumerate(BLOCKS[depth]):
            if fusion:
                channels = fusion["fast_width"] * (1 if stage == 0 else 4 * 2 ** (stage - 1))
                lateral = ConvModule(fusion_conv(channels, fusion["kernel"], fusion["alpha"]), norm=False, relu=False)
                self.add_module("conv1_lateral" if stage == 0 else f"layer{stage}_lateral", lateral)
                inputs += 2 * channels
            blocks = []
            for block in range(num_blocks):
                inner = width * 2**stage
                blocks.append(Bottleneck3d(inputs, inner, kernels[stage], 1 if block else strides[stage]))
                inputs = 4 * inner
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.out_channels = inputs


class MMAction2(nn.Module):
    """mmaction2's SlowFast, or its slow network; the slow pathway sees the first of every `alpha` frames."""

    def __init__(
        self, *, depth: int = 18, alpha: int = 4, kernel: int = 5, two: bool = True, detector: bool = False
    ) -> None:
        super().__init__()
        self.alpha, self.detector = alpha, detector
        strides = (1, 2, 2, 1 if detector else 2)
        fusion = {"fast_width": WIDTH // RATIO, "kernel": kernel, "alpha": alpha} if two else {}
        slow = Pathway(WIDTH, SLOW_KERNELS, 1, strides, depth, **fusion)
        features = slow.out_channels
        if two:
            self.backbone = nn.Module()
            self.backbone.slow_path = slow
            self.backbone.fast_path = Pathway(WIDTH // RATIO, FAST_KERNELS, 5, strides, depth)
            features += self.backbone.fast_path.out_channels
        else:
            self.backbone = slow
        head = nn.Module()
        head.fc_cls = nn.Linear(features, CLASSES + detector)
        if detector:
            self.roi_head = nn.Module()
            self.roi_head.bbox_head = head
        else:
            self.cls_head = head

    def forward(self, clips: Tensor) -> tuple[list[Tensor], Tensor]:
        two = hasattr(self.backbone, "slow_path")
        paths = [self.backbone.slow_path, self.backbone.fast_path] if two else [self.backbone]
        maps = [clips[:, :, :: self.alpha], clips][: len(paths)]
        maps = [pool(path.conv1(each)) for path, each in zip(paths, maps, strict=True)]
        for stage in range(4):
            if two:
                lateral = getattr(paths[0], "conv1_lateral" if stage == 0 else f"layer{stage}_lateral")
                maps[0] = torch.cat([maps[0], lateral(maps[1])], 1)
            maps = [getattr(path, f"layer{stage + 1}")(each) for path, each in zip(paths, maps, strict=True)]
        pooled = [each.mean((2, 3, 4)) for each in maps]
        if self.detector:
            return maps, self.roi_head.bbox_head.fc_cls(torch.cat(pooled, 1))[:, 1:]  # number 0 is the background
        return maps, self.cls_head.fc_cls(torch.cat(pooled[::-1], 1))


def caffe2_blobs(network: PySlowFast) -> dict[str, Tensor]:
    """The weights of PySlowFast by the names that its caffe2 files have, with the optimizer's beside them."""
    blobs: dict[str, Tensor] = {}
    for name, weight in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        layer, value = name.rsplit(".", 1)
        is_norm = layer.endswith("bn")
        kind = {"weight": "s" if is_norm else "w", "bias": "b", "running_mean": "rm", "running_var": "riv"}[value]
        parts = layer.split(".")
        fast = "t_" if "pathway1" in layer else ""
        if layer == "head.projection":
            blob = "pred"
        elif parts[0].endswith("_fuse"):
            stage = int(parts[0][1])
            last = network.num_blocks[stage - 2] - 1
            source = "pool1" if stage == 1 else f"res{stage}_{last}_branch2c_bn"
            blob = f"t_{source}_subsample" + ("_bn" if is_norm else "")
        elif parts[0] == "s1":
            blob = fast + ("res_conv1_bn" if is_norm else "conv1")
        else:
            branch = parts[2] + "".join(parts[3:])  # branch1, branch1_bn, branch2a, branch2a_bn
            blob = f"{fast}res{parts[0][1]}_{parts[1].partition('_res')[2]}_{branch}"
        blobs[f"{blob}_{kind}"] = weight
        blobs[f"{blob}_{kind}_momentum"] = torch.zeros_like(weight)
    return blobs


def randomize(network: nn.Module, seed: int = 0) -> nn.Module:
    """Draw statistics too, which no new network has."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            for values in (module.weight.data, module.running_var):
                values.copy_(torch.rand(values.shape, generator=generator) + 0.5)
            for values in (module.bias.data, module.running_mean):
                values.copy_(torch.randn(values.shape, generator=generator))
    return network.eval()


@pytest.fixture(scope="session")
def make_pyslowfast() -> Callable[..., PySlowFast]:
    return lambda **arguments: randomize(PySlowFast(**arguments))


@pytest.fixture(scope="session")
def make_mmaction2() -> Callable[..., MMAction2]:
    return lambda **arguments: randomize(MMAction2(**arguments))


@pytest.fixture(scope="session")
def name_as_caffe2() -> Callable[[PySlowFast], dict[str, Tensor]]:
    return caffe2_blobs


@pytest.fixture(scope="session")
def randomized() -> Callable[[nn.Module], nn.Module]:
    return randomize


@pytest.fixture(scope="session")
def clips() -> Tensor:
    return torch.randn(2, 3, 16, 64, 64, generator=torch.Generator().manual_seed(1))
