"""What stands for a watcher in modules that are saved while it has hooks on them."""

from __future__ import annotations


class Unseeing:
    """Has the methods that are hooks of a watcher; they see nothing.

    An interrupt can leave such hooks on a model of the user's until its next pass.
    """

    def _nothing(self, *_: object) -> None:
        pass

    _enter_module = _leave_module = _see = _nothing
