"""Wait on a condition, with a deadline: as localcloud's own tests do."""

from localcloud.testing.waiting import listens, wait_for, wait_for_async

__all__ = ["listens", "wait_for", "wait_for_async"]
