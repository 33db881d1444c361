"""Who may do what on a cluster: LDAP, Apache Ranger and Lake Formation in its security configuration.

Sources: Amazon EMR Management Guide, "Create the Amazon EMR security configuration for LDAP integration", "Create the EMR security
configuration" (Apache Ranger), "Enable Lake Formation with Amazon EMR".
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from emr_pipelines.targets.names import Names
from emr_pipelines.targets.profile import Like, RoleArn, Settings, given
from emr_pipelines.targets.secret_references import SecretArn

Text = Annotated[str, StringConstraints(min_length=1)]


class Ldap(Settings):
    """Users of Livy, HiveServer2, Trino, Presto and Hue log in with an LDAP server; needs ``traffic``, and release emr-6.12.0."""

    server_url: Annotated[str, Like(r"ldaps://[^/\s]+", "ldaps://directory.example.internal")]
    server_type: Literal["ActiveDirectory", "OpenLDAP"]
    certificate: SecretArn
    """Secret with the certificate that signs the server's."""
    credentials: SecretArn | None = None
    """Secret with the user, and its password, that searches the server; with ``ssh_login`` it is needed."""
    access_filter: Text
    """Who may log in, such as ``(objectClass=posixAccount)``."""
    user_search_base: Text
    group_search_base: Text
    domain: Text | None = None
    """Of an Active Directory."""
    ssh_login: bool = False
    """Whether LDAP's passwords open SSH; key pairs are safer."""

    @model_validator(mode="after")
    def _has_what_its_type_needs(self) -> Self:
        if (self.server_type == "ActiveDirectory") != (self.domain is not None):
            raise ValueError(f"server_type is {self.server_type}: ActiveDirectory has a domain, and OpenLDAP has none")
        if self.ssh_login and self.credentials is None:
            raise ValueError("ssh_login looks users up with credentials: add the ARN of their secret")
        return self

    def configuration(self) -> dict[str, Any]:
        """Return an ``LDAPConfiguration``."""
        return given(
            {
                "EnableLDAPAuthentication": True,
                "LDAPServerURL": self.server_url,
                "BindCertificateARN": self.certificate,
                "BindCredentialsARN": self.credentials,
                "LDAPAccessFilter": self.access_filter,
                "LDAPUserSearchBase": self.user_search_base,
                "LDAPGroupSearchBase": self.group_search_base,
                "EnableSSHLogin": self.ssh_login,
                "LDAPServerType": self.server_type,
                "ActiveDirectoryConfigurations": {"ADDomain": self.domain} if self.domain else None,
            }
        )


class RangerPlugin(Settings):
    """An application whose access Ranger judges."""

    application: Literal["Spark", "Hive", "EMRFS-S3", "Trino"]
    secret: SecretArn
    """Secret with the plugin's private TLS certificate."""
    policy_repository: Text
    """Name of the service in Ranger's administration."""

    def configuration(self) -> dict[str, Any]:
        """Return one of ``RangerPluginConfigurations``."""
        return {
            "App": self.application,
            "ClientSecretARN": self.secret,
            "PolicyRepositoryName": self.policy_repository,
        }


class Ranger(Settings):
    """Policies of Apache Ranger; needs ``kerberos`` or ``ldap``, and a plugin for each of Spark and Hive that is installed."""

    admin_server_url: Annotated[str, Like(r"https://\S+", "https://ranger.example.internal:6182")]
    admin_server_secret: SecretArn
    """Secret with the public TLS certificate of Ranger's administration."""
    role_for_plugins: RoleArn
    role_for_other_services: RoleArn
    plugins: tuple[RangerPlugin, ...] = Field(min_length=1)
    audit_log_group: (
        Annotated[
            str,
            Like(
                r"arn:aws[a-zA-Z0-9-]*:logs:[a-z0-9-]+:\d{12}:log-group:\S+",
                "arn:aws:logs:<region>:<account>:log-group:ranger",
            ),
            Names("log_group"),
        ]
        | None
    ) = None
    """ARN of the log group in CloudWatch Logs for audit events."""

    def configuration(self) -> dict[str, Any]:
        """Return a ``RangerConfiguration``."""
        group = {"CloudWatchLogGroup": self.audit_log_group}
        return given(
            {
                "AdminServerURL": self.admin_server_url,
                "RoleForRangerPluginsARN": self.role_for_plugins,
                "RoleForOtherAWSServicesARN": self.role_for_other_services,
                "AdminServerSecretARN": self.admin_server_secret,
                "RangerPluginConfigurations": [plugin.configuration() for plugin in self.plugins],
                "AuditConfiguration": {"Destinations": {"AmazonCloudWatchLogs": group}}
                if self.audit_log_group
                else None,
            }
        )


class LakeFormation(Settings):
    """Permissions of Lake Formation, for the ``execution_role`` that a job runs with."""

    authorized_session_tag: Annotated[str, StringConstraints(min_length=1, max_length=256)] = "Amazon EMR"
    """Value of the session tag ``LakeFormationAuthorizedCaller`` that Lake Formation was told to trust."""

    def configuration(self) -> dict[str, Any]:
        """Return a ``LakeFormationConfiguration``."""
        return {"AuthorizedSessionTagValue": self.authorized_session_tag}
