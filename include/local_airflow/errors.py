"""What a person is told when the local system cannot do what was asked."""


class LocalAirflowError(Exception):
    """The local system cannot start, run or end; the message's first line is the cause and the cure."""
