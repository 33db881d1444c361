"""Work of no matter, whose own code has to come from the region that it runs in."""

from __future__ import annotations

print("rehearsed")
