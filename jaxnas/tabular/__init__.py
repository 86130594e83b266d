"""What is known already: tables of measured architectures, and how well a score ranks them."""

from jaxnas.tabular.rank import kendall, spearman

__all__ = ["kendall", "spearman"]
