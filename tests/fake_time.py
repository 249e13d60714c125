"""A clock for tests: time passes only while somebody sleeps, and then at once."""


class FakeTime:
    """Stands for the module `time`."""

    def __init__(self) -> None:
        self.slept = 0.0

    def monotonic(self) -> float:
        return 1000.0 + self.slept

    def sleep(self, seconds: float, /) -> None:
        self.slept += seconds
