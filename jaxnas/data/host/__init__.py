"""Images that stay on the host, for data larger than memory: read step by step, by grain."""

from jaxnas.data.host.stream import HostData, refuse_no_grain

__all__ = ["HostData", "refuse_no_grain"]
