# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""What typed code of somebody else may do with the installed package, and what it may not.

Pyright reads this beside the wheel. A comment that ignores an error is an error where there is none
to ignore, as there would be if the package's types were unknown.
"""

import jaxnas
from jaxnas import nn, spaces

genotype: spaces.Genotype = spaces.zoo.named("resnet20")
network: nn.Network = nn.build(genotype, outputs=10)
adapted: jaxnas.Adapted = jaxnas.adapt(genotype, "digits", epochs=2)
names: tuple[str, ...] = adapted.class_names

nn.build("resnet20", outputs=10)  # pyright: ignore[reportArgumentType]
jaxnas.adapt(genotype, "digits", granularity="layer")  # pyright: ignore[reportArgumentType]
adapted.class_names = ("zero", "one")  # pyright: ignore[reportAttributeAccessIssue]
