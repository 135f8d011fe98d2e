"""The questions of the Nova floor: is nova-compute set up to end migrations by post-copy?

Start with `CHECKS`, the catalogue of all of them.
"""

from postcopy.nova.checks import address, configuration, pair, service, switch
from postcopy.nova.checks.catalogue import CHECKS

__all__ = ["CHECKS", "address", "configuration", "pair", "service", "switch"]
