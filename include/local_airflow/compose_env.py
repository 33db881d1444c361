"""Draw the secrets that docker-compose.yaml asks for into a `.env` beside it: `python -m local_airflow.compose_env`."""

import os
import secrets
import sys
from pathlib import Path

from local_airflow.settings import new_secrets

FILE = Path(__file__).resolve().parents[2] / ".env"


def variables() -> dict[str, str]:
    """Return every variable that docker-compose.yaml requires, each with a fresh random value."""
    drawn = new_secrets()
    return {
        "AIRFLOW_JWT_SECRET": drawn.jwt,
        "AIRFLOW_SECRET_KEY": drawn.session,
        "AIRFLOW_FERNET_KEY": drawn.fernet,
        "AIRFLOW_ADMIN_PASSWORD": secrets.token_urlsafe(12),
        "POSTGRES_PASSWORD": secrets.token_urlsafe(24),
        "REDIS_PASSWORD": secrets.token_urlsafe(24),
    }


def write(path: Path) -> bool:
    """Write a new `.env` that only its owner may read; returns False, and changes nothing, when there is one."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"{name}={value}\n" for name, value in variables().items())
    return True


if __name__ == "__main__":
    said = "written" if write(FILE) else "kept as it is, because it exists"
    sys.stdout.write(f"{FILE}: {said}\n")
