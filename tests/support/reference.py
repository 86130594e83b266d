"""What networks compute, written down once more in NumPy and float64, without regard to speed."""

import numpy as np

from jaxnas.spaces.genotype import NULL, SKIP

EPSILON = 1e-5
MOMENTUM = 0.9


def relu(x):
    return np.maximum(x, 0)


def same(size, window, stride):
    """TensorFlow's SAME padding along one side."""
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def windows(x, size, stride, padding, fill, dilation=1):
    """What each position of a window sees: [positions, b, h', w', c], row by row."""
    height, width = (dilation * (side - 1) + 1 for side in size)
    pads = {
        "symmetric": ((height // 2,) * 2, (width // 2,) * 2),
        "valid": ((0, 0), (0, 0)),
        "same": (same(x.shape[1], height, stride[0]), same(x.shape[2], width, stride[1])),
    }[padding]
    padded = np.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
    rows = (padded.shape[1] - height) // stride[0] + 1
    columns = (padded.shape[2] - width) // stride[1] + 1
    seen = []
    for i in range(0, height, dilation):
        for j in range(0, width, dilation):
            window = padded[:, i : i + stride[0] * rows : stride[0]]
            seen.append(window[:, :, j : j + stride[1] * columns : stride[1]][:, :rows, :columns])
    return np.stack(seen)


def conv(x, kernel, stride=1, depthwise=False, padding="symmetric", dilation=1):
    """A convolution as a sum over the kernel's positions."""
    strides = stride if isinstance(stride, tuple) else (stride, stride)
    taps = windows(x, kernel.shape[:2], strides, padding, 0.0, dilation)
    weights = kernel.reshape(-1, *kernel.shape[2:])
    if depthwise:
        return (taps * weights[:, 0][:, None, None, None]).sum(0)
    return sum(tap @ weight for tap, weight in zip(taps, weights, strict=True))


def pool(x, kind, size, stride, padding):
    """Max pooling, or the mean of the pixels that are there; padded: of zeros beside them too."""
    largest = kind.endswith("max_pool")
    fill = 0.0 if kind.startswith("padded") else -np.inf if largest else np.nan
    taps = windows(x, size, (stride, stride), padding, fill)
    return taps.max(0) if largest else np.nanmean(taps, 0)


def odd_pixels(x):
    """Pixels (1, 1), (1, 3), ... of an image: as many as even ones, black beyond the border."""
    batch, height, width, channels = x.shape
    out = np.zeros((batch, (height + 1) // 2, (width + 1) // 2, channels))
    for i in range(1, height, 2):
        for j in range(1, width, 2):
            out[:, i // 2, j // 2] = x[:, i, j]
    return out


def concatenate(images):
    """Images in the middle of black ones of the largest sides, channel behind channel."""
    height, width = (max(image.shape[axis] for image in images) for axis in (1, 2))
    out = []
    for image in images:
        batch, own_height, own_width, channels = image.shape
        top, left = (height - own_height) // 2, (width - own_width) // 2
        canvas = np.zeros((batch, height, width, channels))
        canvas[:, top : top + own_height, left : left + own_width] = image
        out.append(canvas)
    return np.concatenate(out, -1)


def pad_shortcut(x, features, stride):
    x = x[:, ::stride, ::stride]
    out = np.zeros((*x.shape[:3], features))
    before = (features - x.shape[-1]) // 2
    out[..., before : before + x.shape[-1]] = x
    return out


def widens(cell, edge):
    """Whether a 1x1 convolution leads between different multiples of the input's channels and
    parts of the block's, of which the whole ones may be as many."""
    nodes = [None] * cell.inputs + list(cell.nodes)
    ends = nodes[edge.source], nodes[edge.target]
    sides = [node is not None and node.strided for node in ends]

    def width(node):
        if node is None or node.expansion:
            return "input", node.expansion if node else 1
        return "block", 1 / node.squeeze

    widths = {width(node) for node in ends}
    different = len(widths) == 2 and widths != {("input", 1), ("block", 1)}
    return edge.op == "conv_1x1" and different and sides[0] == sides[1]


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
        self.family, self.epsilon, self.act = "residual", EPSILON, relu

    def of(self, genotype):
        """The same for the style of a genotype."""
        self.family, self.epsilon = genotype.family, genotype.epsilon
        self.act = {
            "relu": relu,
            "relu6": lambda x: np.clip(x, 0, 6),
            "silu": lambda x: x / (1 + np.exp(-x)),
        }[genotype.activation]
        return self

    @property
    def padding(self):
        same = self.family in ("nasnet", "enas", "macro", "nas2017", "residual_same")
        return "same" if same else "symmetric"

    def leaf(self, tree, *path):
        for name in path:
            tree = tree[name]
        return np.asarray(tree, np.float64)

    def conv(self, path, x, stride=1, depthwise=False, dilation=1, padding=None):
        kernel = self.leaf(self.params, *path, "kernel")
        return conv(x, kernel, stride, depthwise, padding or self.padding, dilation)

    def dense(self, path, x, bias=True):
        out = x @ self.leaf(self.params, *path, "kernel")
        return out + self.leaf(self.params, *path, "bias") if bias else out

    def norm(self, path, x):
        mean, var = (self.leaf(self.stats, *path, name) for name in ("mean", "var"))
        if self.train:
            now = x.mean((0, 1, 2)), x.var((0, 1, 2))
            for name, old, new in zip(("mean", "var"), (mean, var), now, strict=True):
                self.batch_stats[(*path, name)] = MOMENTUM * old + (1 - MOMENTUM) * new
            mean, var = now
        scale, bias = (self.leaf(self.params, *path, name) for name in ("scale", "bias"))
        return (x - mean) / np.sqrt(var + self.epsilon) * scale + bias

    def halves(self, path, x):
        even = self.conv((*path, "conv_even"), x[:, ::2, ::2])
        odd = self.conv((*path, "conv_odd"), odd_pixels(x))
        return self.norm((*path, "norm"), np.concatenate([even, odd], -1))

    def match(self, path, x, stride, before):
        x = before(x)
        if stride == 2:
            return self.halves(path, x)
        return self.norm((*path, "norm"), self.conv((*path, "conv"), x))

    def op(self, path, op, x, features, stride):
        """One operation of the family."""
        family = self.family
        before = (lambda each: each) if family.startswith("residual") else relu
        kind, _, size = op.rpartition("_")
        size = tuple(int(side) for side in size.split("x")) if "x" in size else ()
        if family == "nas2017":
            if op == SKIP and stride in (1, (1, 1)) and x.shape[-1] == features:
                return x
            return self.norm((*path, "norm"), self.conv((*path, "conv"), x, stride))
        if op == SKIP:
            if stride == 1 and x.shape[-1] == features:
                return x
            if family == "nasnet":
                return self.norm((*path, "norm"), self.conv((*path, "conv"), relu(x), stride))
            none = stride == (1 if family == "nasbench201" else 2)
            none = none and family in ("enas", "macro", "nasbench201")
            return self.match(path, x, stride, (lambda each: each) if none else before)
        if op == "pad_shortcut":
            return pad_shortcut(x, features, stride)
        if op.startswith("squeeze_excite"):
            inner = self.act(self.dense((*path, "reduce"), x.mean((1, 2))))
            outer = self.dense((*path, "expand"), inner)
            return x / (1 + np.exp(-outer))[:, None, None]
        if kind.endswith(("max_pool", "avg_pool", "avg_pool_conv")):
            x = pool(x, kind, size, stride, "same" if size == (2, 2) else self.padding)
            if x.shape[-1] == features and kind != "avg_pool_conv":
                return x
            x = relu(x) if family in ("enas", "macro") else x
            if family == "nasbench201":
                return self.conv((*path, "conv"), x)
            return self.norm((*path, "norm"), self.conv((*path, "conv"), x))
        if kind in ("sep_conv", "dil_sep_conv") or (op.startswith("dil") and family == "darts"):
            dilation = 2 if op.startswith("dil") else 1
            for index in range(2 if "sep" in op else 1):
                steps = stride if index == 0 else 1
                x = self.conv((*path, f"depthwise_{index}"), relu(x), steps, True, dilation)
                x = self.norm((*path, f"norm_{index}"), self.conv((*path, f"pointwise_{index}"), x))
            return x
        if kind == "depthwise_conv":
            return self.norm((*path, "norm"), self.conv((*path, "conv"), x, stride, True))
        suffix = ""
        if op.startswith("bottleneck"):
            x = self.norm((*path, "norm_reduce"), self.conv((*path, "reduce"), relu(x)))
            suffix = "_inner"
        if op.count("x") == 2:  # 1xk, then kx1
            x = self.conv((*path, f"conv{suffix}_0"), before(x), (1, stride))
            if family == "nasnet":
                x = relu(self.norm((*path, f"norm{suffix}_0"), x))
            x = self.conv((*path, f"conv{suffix}_1"), x, (stride, 1))
        else:
            dilation = 2 if "dil" in op else 1
            x = self.conv((*path, "conv" + suffix), before(x), stride, dilation=dilation)
        x = self.norm((*path, "norm" + suffix), x)
        if suffix:
            x = self.norm((*path, "norm"), self.conv((*path, "expand"), relu(x)))
        return x

    def stem(self, genotype, x):
        if self.family == "nas2017":
            return x, x
        if genotype.stem_form == "double":
            x = self.norm(("stem_norm_0",), self.conv(("stem_conv_0",), x, 2))
            early = self.norm(("stem_norm_1",), self.conv(("stem_conv_1",), relu(x), 2))
            last = self.norm(("stem_norm_2",), self.conv(("stem_conv_2",), relu(early), 2))
            return early, last
        stride = 1 if genotype.stem_form == "small" else 2
        padding = "valid" if genotype.stem_form == "valid" else None
        x = self.norm(("stem_norm",), self.conv(("stem_conv",), x, stride, padding=padding))
        x = self.act(x) if self.family.startswith("residual") else x
        if genotype.stem_form == "pooled":
            x = pool(x, "max_pool", (3, 3), 2, self.padding)
        return x, x

    def inputs(self, index, older, newer, block):
        """A block's older and newer input at its channels."""
        name = f"block_{index}_input"
        stride = 1 if older.shape[1] == newer.shape[1] else 2
        if self.family == "darts":
            return (
                self.match((f"{name}_0",), older, stride, relu),
                self.match((f"{name}_1",), newer, 1, relu),
            )
        number = 1 if self.family == "nasnet" else 0
        first = self.family == "nasnet" and index == 0
        if stride == 2 or (older.shape[-1] != block.channels and not first):
            older = self.match((f"{name}_{number}",), older, stride, relu)
        if self.family == "nasnet":
            return older, self.match((f"{name}_0",), newer, 1, relu)
        if newer.shape[-1] != block.channels:
            newer = self.match((f"{name}_1",), newer, 1, relu)
        return older, self.match((f"{name}_base",), newer, 1, relu)

    def network(self, genotype, x, gates=None):
        """Logits of images; `gates` [blocks, edges, 3] for a supernet."""
        self.of(genotype)
        early, last = self.stem(genotype, np.asarray(x, np.float64))
        states = [early, last]
        for index, (block, cell) in enumerate(
            zip(genotype.blocks, genotype.placed_cells(), strict=True)
        ):
            newer = states[-1]
            if genotype.family in ("residual", "residual_same", "nasbench201"):
                inputs = [newer]
            elif genotype.family in ("macro", "nas2017"):
                inputs = [states[source + 2] for source in block.sources]
                if genotype.family == "nas2017":
                    inputs = [concatenate(inputs)]
            else:
                # Beyond the stem there is nothing; the first block sees the stem's earlier part.
                older = states[max(index - block.previous, -1) + 2] if index else early
                older, newer = self.inputs(index, older, newer, block)
                inputs = [newer, older] if genotype.family == "nasnet" else [older, newer]
            now = None if gates is None else gates[index]
            states.append(self.block(index, block, cell, inputs, now))
        x = states[-1]
        if genotype.family == "nas2017":
            read = {source for block in genotype.blocks for source in block.sources}
            unread = [i for i in range(len(genotype.blocks)) if i not in read]
            x = concatenate([states[index + 2] for index in unread])
        if genotype.head:
            x = self.act(self.norm(("head_norm",), self.conv(("head_conv",), x)))
        if genotype.family == "nasbench201":
            x = self.norm(("final_norm",), x)
        if genotype.family in ("nasnet", "enas", "nasbench201"):
            x = relu(x)
        return self.dense(
            ("classifier",), x.mean((1, 2)), bias=genotype.family not in ("enas", "macro")
        )

    def block(self, index, block, cell, inputs, gates):
        values = list(inputs)
        batch, height, width, channels = inputs[0].shape
        for number, node in enumerate(cell.nodes):
            both = block.strides or (block.stride, block.stride)
            down, across = both if node.strided else (1, 1)
            features = node.expansion * channels or block.channels // node.squeeze
            zero = np.zeros((batch, -(-height // down), -(-width // across), features))
            terms = []
            for position, edge in enumerate(cell.edges):
                if edge.target != cell.inputs + number:
                    continue
                source_strided = (
                    edge.source >= cell.inputs and cell.nodes[edge.source - cell.inputs].strided
                )
                stride = 1
                if node.strided and not source_strided:
                    stride = block.strides or block.stride

                def run(op, position=position, edge=edge, features=features, stride=stride):
                    path = (f"block_{index}", f"edge_{position}_{op}")
                    return self.op(path, op, values[edge.source], features, stride)

                if gates is None:
                    term = run(edge.op) if edge.op != NULL else zero
                elif edge.op == SKIP or widens(cell, edge):
                    term = (gates[position, 1] + gates[position, 2]) * run(edge.op)
                else:
                    term = gates[position, 1] * run(SKIP)
                    if edge.op != NULL:
                        term = term + gates[position, 2] * run(edge.op)
                terms.append(term)
            total = np.concatenate(terms, -1) if node.concat else sum(terms, zero)
            values.append(self.act(total) if node.relu else total)
        last = values[-1]
        out = []
        for node in cell.output:
            value = values[node]
            same_size = value.shape[1] == last.shape[1]
            if node < cell.inputs and not (same_size and value.shape[3] == block.channels):
                stride = 1 if same_size else 2
                path = (f"block_{index}", f"output_{node}")
                value = self.match(path, value, stride, lambda each: each)
            out.append(value)
        return np.concatenate(out, -1)
