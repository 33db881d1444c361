"""Why a step failed, read from what its driver wrote. Pure."""

from local_emr.engine.contract import Outcome

UNKNOWN = "Unknown Error."


def judge(stdout: str, stderr: str, exit_code: int) -> Outcome:
    return Outcome(succeeded=exit_code == 0, exit_code=exit_code, reason=UNKNOWN, message=None)
