"""The network of a genotype in PyTorch, for timing it beside jaxnas's own.

Same layers, same wiring, same number of parameters (checked by the benchmark); no auxiliary head.
"""

from __future__ import annotations

import re
from typing import Any

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional as F  # pyright: ignore[reportMissingImports]

from jaxnas.spaces.genotype import NULL, SKIP, Block, Cell, Genotype


def same_padding(size: int, window: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME along one side. Not jaxnas's own, which needs JAX to be installed."""
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


class Padded(nn.Module):
    """A convolution or pooling, padded as TensorFlow does where `same`, else symmetrically."""

    def __init__(self, layer: Any, kernel: tuple[int, int], dilation: int, same: bool, fill: float):
        super().__init__()
        self.layer, self.same, self.fill = layer, same, fill
        self.window = tuple(dilation * (side - 1) + 1 for side in kernel)
        stride = layer.stride
        self.stride = stride if isinstance(stride, tuple) else (stride, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.same:
            top, bottom = same_padding(x.shape[2], self.window[0], self.stride[0])
            left, right = same_padding(x.shape[3], self.window[1], self.stride[1])
            if top or bottom or left or right:
                x = F.pad(x, (left, right, top, bottom), value=self.fill)
        return self.layer(x)


class Average(nn.Module):
    """Average pooling that leaves padding out of the denominator."""

    def __init__(self, kernel: int, stride: int, same: bool):
        super().__init__()
        self.kernel, self.stride, self.same = kernel, stride, same

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.same or (self.stride == 1 and self.kernel % 2):
            return F.avg_pool2d(
                x, self.kernel, self.stride, self.kernel // 2, count_include_pad=False
            )
        pads = [same_padding(size, self.kernel, self.stride) for size in x.shape[2:]]
        flat = (*pads[1], *pads[0])
        inside = F.avg_pool2d(F.pad(torch.ones_like(x[:1, :1]), flat), self.kernel, self.stride)
        return F.avg_pool2d(F.pad(x, flat), self.kernel, self.stride) / inside


class Halves(nn.Module):
    """The two 1x1 convolutions of a factorized reduction."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.even = nn.Conv2d(inputs, outputs // 2, 1, 2, bias=False)
        self.odd = nn.Conv2d(inputs, outputs - outputs // 2, 1, 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.even(x), self.odd(F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:])], 1)


class Excite(nn.Module):
    """Squeeze-and-excitation."""

    def __init__(self, channels: int, divisor: int):
        super().__init__()
        self.reduce = nn.Linear(channels, channels // divisor)
        self.expand = nn.Linear(channels // divisor, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = torch.sigmoid(self.expand(F.relu(self.reduce(x.mean((2, 3))))))
        return x * weights[:, :, None, None]


class Shortcut(nn.Module):
    """Option A of He et al. 2016."""

    def __init__(self, features: int, stride: int):
        super().__init__()
        self.features, self.stride = features, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        extra = self.features - x.shape[1]
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, extra // 2, extra - extra // 2))


class Builder:
    """Makes modules in the style of a genotype."""

    def __init__(self, genotype: Genotype):
        self.genotype = genotype
        self.same = genotype.family in ("nasnet", "enas")
        self.residual = genotype.family == "residual"

    def norm(self, channels: int) -> nn.Module:
        return nn.BatchNorm2d(channels, self.genotype.epsilon)

    def relu(self) -> list[nn.Module]:
        return [] if self.residual else [nn.ReLU()]

    def activation(self) -> nn.Module:
        return nn.ReLU6() if self.genotype.activation == "relu6" else nn.ReLU()

    def conv(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int],
        stride: Any = 1,
        dilation: int = 1,
        depthwise: bool = False,
    ) -> nn.Module:
        height, width = (0 if self.same else dilation * (side // 2) for side in kernel)
        layer = nn.Conv2d(
            inputs,
            outputs,
            kernel,
            stride,
            (height, width),
            dilation,
            groups=inputs if depthwise else 1,
            bias=False,
        )
        return Padded(layer, kernel, dilation, self.same, 0.0)

    def match(self, inputs: int, outputs: int, stride: int, relu: bool) -> nn.Module:
        layer = (
            Halves(inputs, outputs) if stride == 2 else nn.Conv2d(inputs, outputs, 1, bias=False)
        )
        return nn.Sequential(*([nn.ReLU()] if relu else []), layer, self.norm(outputs))

    def separable(
        self, inputs: int, outputs: int, kernel: Any, stride: int, repeats: int, dilation: int
    ) -> nn.Module:
        layers: list[nn.Module] = []
        for index in range(repeats):
            width = inputs if index == 0 else outputs
            layers += [
                nn.ReLU(),
                self.conv(width, width, kernel, 1 if index else stride, dilation, True),
                nn.Conv2d(width, outputs, 1, bias=False),
                self.norm(outputs),
            ]
        return nn.Sequential(*layers)

    def convolutions(
        self, inputs: int, outputs: int, sizes: list[Any], stride: int, dilation: int
    ) -> list[nn.Module]:
        layers = self.relu()
        for index, size in enumerate(sizes):
            steps = tuple(1 if len(sizes) > 1 and side == 1 else stride for side in size)
            layers.append(self.conv(inputs, outputs, size, steps, dilation))
            inputs = outputs
            if index < len(sizes) - 1 and self.genotype.family == "nasnet":
                layers += [self.norm(outputs), nn.ReLU()]
        return [*layers, self.norm(outputs)]

    def operation(self, op: str, inputs: int, outputs: int, stride: int) -> nn.Module:
        """What `op` means in the genotype's family."""
        sizes = [(int(a), int(b)) for a, b in re.findall(r"(\d)x(\d)", op)]
        family = self.genotype.family
        if op == SKIP:
            if stride == 1 and inputs == outputs:
                return nn.Identity()
            if family == "nasnet":
                return nn.Sequential(
                    nn.ReLU(), nn.Conv2d(inputs, outputs, 1, stride, bias=False), self.norm(outputs)
                )
            return self.match(inputs, outputs, stride, not self.residual)
        if op == "pad_shortcut":
            return Shortcut(outputs, stride)
        if op.startswith("squeeze_excite"):
            return Excite(inputs, int(op.rpartition("_")[2]))
        if "pool" in op:
            side = sizes[0][0]
            if op.startswith("avg"):
                pool: nn.Module = Average(side, stride, self.same)
            else:
                layer = nn.MaxPool2d(side, stride, 0 if self.same else side // 2)
                pool = Padded(layer, sizes[0], 1, self.same, -torch.inf)
            if inputs == outputs:
                return pool
            return nn.Sequential(
                pool, nn.Conv2d(inputs, outputs, 1, bias=False), self.norm(outputs)
            )
        if op.startswith("depthwise"):
            conv = self.conv(inputs, outputs, sizes[0], stride, depthwise=True)
            return nn.Sequential(conv, self.norm(outputs))
        if op.startswith(("sep_conv", "dil_sep_conv")):
            return self.separable(inputs, outputs, sizes[0], stride, 2, 2 if "dil" in op else 1)
        if op.startswith("dil_conv") and family == "darts":
            return self.separable(inputs, outputs, sizes[0], stride, 1, 2)
        dilation = 2 if "dil" in op else 1
        if not op.startswith("bottleneck"):
            return nn.Sequential(*self.convolutions(inputs, outputs, sizes, stride, dilation))
        inner = outputs * 3 // 8 if (1, 3) in sizes else outputs // 4
        return nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(inputs, inner, 1, bias=False),
            self.norm(inner),
            *self.convolutions(inner, inner, sizes, stride, dilation),
            nn.ReLU(),
            nn.Conv2d(inner, outputs, 1, bias=False),
            self.norm(outputs),
        )


class BlockModule(nn.Module):
    """One block of one or two inputs of (channels, scale), the scale halved by each stride."""

    def __init__(
        self,
        builder: Builder,
        cell: Cell,
        block: Block,
        inputs: list[tuple[int, int]],
        first: bool,
    ):
        super().__init__()
        family = builder.genotype.family
        self.cell, self.block, self.builder = cell, block, builder
        channels = block.channels
        newest = max(scale for _, scale in inputs)
        self.prepare = nn.ModuleList()
        widths = []
        for position, (width, scale) in enumerate(inputs):
            older = position == (1 if family == "nasnet" else 0)
            stride = 1 if scale == newest else 2
            always = family == "darts" or not older or stride == 2
            if family != "residual" and (always or (width != channels and not first)):
                layer: nn.Module = builder.match(width, channels, stride, True)
            else:
                layer = nn.Identity()
            self.prepare.append(layer)
            widths.append(width if isinstance(layer, nn.Identity) else channels)
        sizes = [(width, newest) for width in widths]
        self.edges = nn.ModuleList()
        for number, node in enumerate(cell.nodes):
            features = node.width(channels, widths[0])
            sizes.append((features, newest * (block.stride if node.strided else 1)))
            for edge in cell.edges:
                if edge.target == cell.inputs + number:
                    stride = block.stride if cell.crosses_stride(edge) else 1
                    self.edges.append(
                        nn.Identity()
                        if edge.op == NULL
                        else builder.operation(edge.op, sizes[edge.source][0], features, stride)
                    )
        self.match = nn.ModuleDict()
        for node in cell.output:
            if node < cell.inputs and sizes[node] != sizes[-1]:
                stride = 1 if sizes[node][1] == sizes[-1][1] else 2
                self.match[str(node)] = builder.match(sizes[node][0], sizes[-1][0], stride, False)
        self.out = (
            sum(sizes[-1 if node < cell.inputs else node][0] for node in cell.output),
            sizes[-1][1],
        )

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        values = [prepare(x) for prepare, x in zip(self.prepare, inputs, strict=True)]
        for number, node in enumerate(self.cell.nodes):
            total: Any = None
            for edge, module in zip(self.cell.edges, self.edges, strict=True):
                if edge.target == self.cell.inputs + number and edge.op != NULL:
                    term = module(values[edge.source])
                    total = term if total is None else total + term
            values.append(self.builder.activation()(total) if node.relu else total)
        found = [
            self.match[str(node)](values[node]) if str(node) in self.match else values[node]
            for node in self.cell.output
        ]
        return torch.cat(found, 1) if len(found) > 1 else found[0]


class Network(nn.Module):
    """The network of a genotype whose stem is ``small``; images [b, c, h, w] to logits."""

    def __init__(self, genotype: Genotype, num_classes: int):
        super().__init__()
        if genotype.stem_form != "small":
            raise ValueError(f"{genotype.name}: only networks for small images are timed")
        builder = Builder(genotype)
        stem: list[nn.Module] = [
            nn.Conv2d(3, genotype.stem, 3, padding=1, bias=False),
            builder.norm(genotype.stem),
        ]
        self.stem = nn.Sequential(*stem, *([builder.activation()] if builder.residual else []))
        self.genotype = genotype
        sizes = {-1: (genotype.stem, 1), -2: (genotype.stem, 1)}
        self.blocks = nn.ModuleList()
        for index, (block, cell) in enumerate(
            zip(genotype.blocks, genotype.placed_cells(), strict=True)
        ):
            inputs = [sizes[source] for source in genotype.inputs_of(index)]
            module = BlockModule(builder, cell, block, inputs, index == 0)
            self.blocks.append(module)
            sizes[index] = module.out
        width = sizes[len(genotype.blocks) - 1][0]
        head: list[nn.Module] = [nn.ReLU()] if builder.same else []
        if genotype.head:
            head += [
                nn.Conv2d(width, genotype.head, 1, bias=False),
                builder.norm(genotype.head),
                builder.activation(),
            ]
            width = genotype.head
        self.head = nn.Sequential(*head)
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        states = {-1: x, -2: x}
        for index, block in enumerate(self.blocks):
            states[index] = block(*(states[each] for each in self.genotype.inputs_of(index)))
        return self.classifier(self.head(states[len(self.blocks) - 1]).mean((2, 3)))
