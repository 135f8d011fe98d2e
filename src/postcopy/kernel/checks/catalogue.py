"""Where the kernel floor's checks are listed."""

from postcopy.readiness import Catalogue

__all__ = ["CHECKS"]

CHECKS = Catalogue()
