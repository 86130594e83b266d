"""What networks compute, written down once more in NumPy and float64, without regard to speed."""

import numpy as np

from jaxnas.spaces.genotype import NULL, SKIP

EPSILON = 1e-5
MOMENTUM = 0.9


def relu(x):
    return np.maximum(x, 0)


def conv(x, kernel, stride=1, depthwise=False):
    """As PyTorch's Conv2d with padding k // 2: a sum over the kernel's positions."""
    side = kernel.shape[0]
    height, width = x.shape[1:3]
    padded = np.pad(x, ((0, 0), (side // 2,) * 2, (side // 2,) * 2, (0, 0)))
    out = 0
    for i in range(side):
        for j in range(side):
            window = padded[:, i : i + height : stride, j : j + width : stride]
            out = out + (window * kernel[i, j, 0] if depthwise else window @ kernel[i, j])
    return out


def odd_pixels(x):
    """Pixels (1, 1), (1, 3), ... of an image: as many as even ones, black beyond the border."""
    batch, height, width, channels = x.shape
    out = np.zeros((batch, (height + 1) // 2, (width + 1) // 2, channels))
    for i in range(1, height, 2):
        for j in range(1, width, 2):
            out[:, i // 2, j // 2] = x[:, i, j]
    return out


def pad_shortcut(x, features, stride):
    x = x[:, ::stride, ::stride]
    out = np.zeros((*x.shape[:3], features))
    before = (features - x.shape[-1]) // 2
    out[..., before : before + x.shape[-1]] = x
    return out


class Reference:
    """A network or an operation with given variables.

    Attributes:
      variables: ``params`` and ``batch_stats``.
      train: whether batch norms use their batch's statistics.
      batch_stats: the running statistics that follow, by path.
    """

    def __init__(self, variables, train=False):
        self.params = variables.get("params", {})
        self.stats = variables.get("batch_stats", {})
        self.train = train
        self.batch_stats = {}

    def leaf(self, tree, *path):
        for name in path:
            tree = tree[name]
        return np.asarray(tree, np.float64)

    def conv(self, path, x, stride=1, depthwise=False):
        return conv(x, self.leaf(self.params, *path, "kernel"), stride, depthwise)

    def norm(self, path, x):
        mean, var = (self.leaf(self.stats, *path, name) for name in ("mean", "var"))
        if self.train:
            now = x.mean((0, 1, 2)), x.var((0, 1, 2))
            for name, old, new in zip(("mean", "var"), (mean, var), now, strict=True):
                self.batch_stats[(*path, name)] = MOMENTUM * old + (1 - MOMENTUM) * new
            mean, var = now
        scale, bias = (self.leaf(self.params, *path, name) for name in ("scale", "bias"))
        return (x - mean) / np.sqrt(var + EPSILON) * scale + bias

    def op(self, path, op, x, features, stride, family):
        before = relu if family == "darts" else (lambda each: each)
        if op == SKIP:
            if stride == 1 and x.shape[-1] == features:
                return x
            x = before(x)
            if stride == 1:
                x = self.conv((*path, "conv"), x)
            else:
                even = self.conv((*path, "conv_even"), x[:, ::2, ::2])
                odd = self.conv((*path, "conv_odd"), odd_pixels(x))
                x = np.concatenate([even, odd], -1)
            return self.norm((*path, "norm"), x)
        if op == "pad_shortcut":
            return pad_shortcut(x, features, stride)
        if op == "sep_conv_3x3":
            for index in (0, 1):
                x = self.conv(
                    (*path, f"depthwise_{index}"), before(x), stride if index == 0 else 1, True
                )
                x = self.norm((*path, f"norm_{index}"), self.conv((*path, f"pointwise_{index}"), x))
            return x
        x = self.conv((*path, "conv"), before(x), stride, op == "depthwise_conv_3x3")
        return self.norm((*path, "norm"), x)

    def network(self, genotype, x, gates=None):
        """Logits of images; `gates` [blocks, edges, 3] for a supernet."""
        family = genotype.family
        x = self.norm(("stem_norm",), self.conv(("stem_conv",), np.asarray(x, np.float64)))
        states = [x, x] if family == "darts" else [relu(x)]
        for index, (block, cell) in enumerate(
            zip(genotype.blocks, genotype.placed_cells(), strict=True)
        ):
            inputs = states[-cell.inputs :]
            if family == "darts":
                for position, value in enumerate(inputs):
                    reduced = value.shape[1] > states[-1].shape[1]
                    inputs[position] = self.op(
                        (f"block_{index}_input_{position}",),
                        SKIP if reduced else "conv_1x1",
                        value,
                        block.channels,
                        2 if reduced else 1,
                        family,
                    )
            now = None if gates is None else gates[index]
            states.append(self.block(index, block, cell, inputs, now, family))
        x = states[-1]
        if genotype.head:
            x = relu(self.norm(("head_norm",), self.conv(("head_conv",), x)))
        kernel, bias = (self.leaf(self.params, "classifier", name) for name in ("kernel", "bias"))
        return x.mean((1, 2)) @ kernel + bias

    def block(self, index, block, cell, inputs, gates, family):
        values = list(inputs)
        batch, height, width, channels = inputs[0].shape
        for number, node in enumerate(cell.nodes):
            scale = block.stride if node.strided else 1
            features = node.expansion * channels or block.channels
            total = np.zeros((batch, -(-height // scale), -(-width // scale), features))
            for position, edge in enumerate(cell.edges):
                if edge.target != cell.inputs + number:
                    continue
                source_strided = (
                    edge.source >= cell.inputs and cell.nodes[edge.source - cell.inputs].strided
                )
                stride = block.stride if node.strided and not source_strided else 1

                def run(op, position=position, edge=edge, features=features, stride=stride):
                    path = (f"block_{index}", f"edge_{position}_{op}")
                    return self.op(path, op, values[edge.source], features, stride, family)

                if gates is None:
                    total = total + (run(edge.op) if edge.op != NULL else 0)
                elif edge.op == SKIP:
                    total = total + (gates[position, 1] + gates[position, 2]) * run(SKIP)
                else:
                    total = total + gates[position, 1] * run(SKIP)
                    if edge.op != NULL:
                        total = total + gates[position, 2] * run(edge.op)
            values.append(relu(total) if node.relu else total)
        return np.concatenate([values[node] for node in cell.output], -1)
