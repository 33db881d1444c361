"""What is secret in a job's log is not told; what is not, is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emr_pipelines.masking import PATTERNS, masked

SECRETS = [
    ("a password in a URL", "jdbc failed: postgresql://etl:hunter2secret@db:5432/x", "postgresql://etl:***@db:5432/x"),
    (
        "a signature or token in a URL",
        "GET https://b.s3.amazonaws.com/k?X-Amz-Signature=9f86d081884c7d&X-Amz-Date=2013 failed",
        "?X-Amz-Signature=***&X-Amz-Date=2013 failed",
    ),
    ("an Authorization header", "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.x", "Authorization: Bearer ***"),
    (
        "an option's value",
        "usage: load.py --db-password hunter2secret --day 2013-01-15",
        "--db-password *** --day 2013-01-15",
    ),
    ("an option's value", "spark-submit --api-key=hunter2secret x.py", "--api-key=*** x.py"),
    (
        "a named value",
        "spark.hadoop.fs.s3a.secret.key=hunter2secret, spark.app.name=x",
        "secret.key=***, spark.app.name=x",
    ),
    ("a named value", "javax.jdo.option.ConnectionPassword: 'hunter2 secret'", "ConnectionPassword: ***"),
    ("a named value", '{"password": "hunter2secret", "user": "etl"}', '{"password": ***, "user": "etl"}'),
    ("a token", "session token=FwoGZXIvYXdzEBYaDhunter2secret==", "token=***"),
    ("an AWS access key id", "InvalidAccessKeyId: AKIAIOSFODNN7EXAMPLE does not exist", "AKIA*** does not exist"),
    (
        "a private key",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEhunter2secret\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY-----",
    ),
]


@pytest.mark.parametrize(("name", "text", "expected"), SECRETS)
def test_a_secret_is_masked_and_what_stands_around_it_stays(name, text, expected):
    assert name in PATTERNS
    assert expected in masked(text)
    assert "hunter2" not in masked(text)


def test_every_pattern_has_a_secret_that_it_finds():
    assert {name for name, _, _ in SECRETS} == set(PATTERNS)


@pytest.mark.parametrize(
    "text",
    [
        "ParseException: Unexpected token: 'FROM' (line 3, pos 7)",
        "ValueError: 3 malformed rows, first: '2013,x,15'",
        "[PATH_NOT_FOUND] Path does not exist: s3://bucket/key=1/part-0.parquet.",
        "KeyError: 'dt'",
        "java.lang.ClassNotFoundException: com.example.PasswordReset",
        "Primary key: (carrier, flight) is not unique",
        "s3://local-data/flights/dt=2013-01-15/ has 881 rows",
    ],
)
def test_what_is_no_secret_is_told(text):
    assert masked(text) == text


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=300))
def test_masking_twice_is_masking_once(text):
    assert masked(masked(text)) == masked(text)
