"""Time as the control plane sees it; see `local_emr.clock`."""

from local_emr.clock import Clock, SystemClock

__all__ = ["Clock", "SystemClock"]
