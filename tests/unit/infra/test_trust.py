"""Whom the templates let in: nobody from outside of the account, AWS's services for this account alone, and all by TLS."""

from __future__ import annotations

import pytest
from cfnlint.decode import decode_str

from tests.support.endpoint import ROOT

TEMPLATES = sorted((ROOT / "include/infra").glob("*.yaml"))
FOR_WHOM = {"aws:SourceAccount", "aws:SourceArn", "kms:EncryptionContext:aws:logs:arn"}
"""Condition keys that say for which account a service asks (IAM User Guide, "The confused deputy problem")."""

OF_EC2 = {"InstanceRole"}
"""EC2 does not say for whom it asks; who starts an instance has to be allowed to pass the role."""

FILTER = "AWS::EC2::VPCEndpoint"
"""A policy that gives nobody anything: it bounds what passes."""


def statements_in(value):
    """Yield the statements of policies that stand at resources: those that have a principal."""
    if isinstance(value, dict):
        if "Principal" in value and "Effect" in value:
            yield value
        for one in value.values():
            yield from statements_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from statements_in(one)


def keys_of(statement):
    return {key for keys in statement.get("Condition", {}).values() for key in keys}


def wrong_in(text):
    """Name what lets in too many."""
    template, _ = decode_str(text)
    for name, made in template["Resources"].items():
        for statement in statements_in(made):
            principal = statement["Principal"]
            if statement["Effect"] != "Allow" or made["Type"] == FILTER:
                continue
            if principal == "*" or "*" in str(principal.get("AWS", "")):
                yield f"{name} lets in everybody"
            if "Service" in principal and name not in OF_EC2 and not keys_of(statement) & FOR_WHOM:
                yield f"{name} lets {principal['Service']} in for anybody"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_resource_lets_in_nobody_for_anybody(path):
    assert list(wrong_in(path.read_text())) == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_what_passes_an_endpoint_is_of_this_account_or_goes_to_buckets_that_are_named(path):
    template, _ = decode_str(path.read_text())
    for made in template["Resources"].values():
        if made["Type"] == FILTER:
            for statement in statements_in(made):
                named = statement["Resource"] != "*" and "s3:" in str(statement["Action"])
                assert "aws:PrincipalAccount" in keys_of(statement) or named


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_every_bucket_is_private_and_talked_to_by_tls_alone(path):
    resources = decode_str(path.read_text())[0]["Resources"]
    buckets = {name: made["Properties"] for name, made in resources.items() if made["Type"] == "AWS::S3::Bucket"}
    for properties in buckets.values():
        assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
        assert len(properties["PublicAccessBlockConfiguration"]) == 4
        assert properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    denied = {
        made["Properties"]["Bucket"]["Ref"]
        for made in resources.values()
        for statement in statements_in(made)
        if statement["Effect"] == "Deny"
        and (statement["Principal"], statement["Action"]) == ("*", "s3:*")
        and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    }
    assert denied == set(buckets)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ('{Effect: Allow, Principal: "*", Action: "s3:*"}', ["R lets in everybody"]),
        ('{Effect: Allow, Principal: {AWS: "*"}, Action: "s3:*"}', ["R lets in everybody"]),
        ("{Effect: Allow, Principal: {Service: sns.amazonaws.com}}", ["R lets sns.amazonaws.com in for anybody"]),
        ('{Effect: Deny, Principal: "*", Action: "s3:*"}', []),
        ('{Effect: Allow, Principal: {Service: a}, Condition: {StringEquals: {"aws:SourceAccount": "1"}}}', []),
    ],
)
def test_a_resource_that_lets_in_too_many_is_noticed(statement, told):
    assert list(wrong_in(f"Resources: {{R: {{Type: AWS::S3::BucketPolicy, Properties: [{statement}]}}}}")) == told
