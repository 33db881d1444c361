"""What a person is told when the local system cannot do what was asked."""


class LocalAirflowError(Exception):
    """The local system cannot start, run or end; the message's first line is the cause and the cure."""


class PortInUseError(LocalAirflowError):
    """A port is taken: which, what it was meant for, by whom if that is known, and the next free one if there is one."""

    def __init__(self, port: int, purpose: str, holder: str | None, free: int | None) -> None:
        cure = f"port {free} is free" if free else "end that program first"
        super().__init__(f"Port {port}, meant for {purpose}, is in use by {holder or 'another program'}; {cure}.")
        self.port = port
        self.free = free
