"""Checks of what EC2 has: subnets, security groups, zones, key pairs, images of machines, instance types."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from emr_deploy.needs import Thing
from emr_deploy.steps import Missing

Clients = Callable[[str], Any]


def subnets(clients: Clients, things: list[Thing]) -> Iterator[Missing]:
    """Yield subnets that there are not, and public ones where a private one is needed."""
    ec2 = clients("ec2")
    there = _subnets(ec2, [thing.name for thing in things])
    for thing in things:
        if thing.name not in there:
            yield Missing(
                f"there is no subnet {thing.name!r} in {thing.region} {thing.told}",
                "name a private one of this account; `make infra` makes some",
            )
    private = [thing.fits["private"] for thing in things if thing.name in there and "private" in thing.fits]
    public = _public(ec2, {thing.name: there[thing.name]["VpcId"] for thing in private})
    for thing in private:
        if thing.name in public:
            yield Missing(
                f"subnet {thing.name!r} in {thing.region} is public, its route table leads to an internet gateway {thing.told}",
                "name a private one, or write public_subnet: true",
            )


def _subnets(ec2: Any, ids: list[str]) -> dict[str, Any]:
    """Return those of these subnets that there are; a filter, unlike ids, is no error where one is not."""
    pages = ec2.get_paginator("describe_subnets").paginate(Filters=[{"Name": "subnet-id", "Values": sorted(set(ids))}])
    return {subnet["SubnetId"]: subnet for page in pages for subnet in page["Subnets"]}


def _public(ec2: Any, vpcs: dict[str, str]) -> set[str]:
    """Return those subnets, by id with their VPC's, whose route table, or else their VPC's main one, has an internet gateway."""
    if not vpcs:
        return set()
    pages = ec2.get_paginator("describe_route_tables").paginate(
        Filters=[{"Name": "vpc-id", "Values": sorted(set(vpcs.values()))}]
    )
    tables: dict[str, Any] = {}
    for page in pages:
        for table in page["RouteTables"]:
            for link in table.get("Associations", []):
                tables[link.get("SubnetId") or (table["VpcId"] if link.get("Main") else "")] = table
    return {subnet for subnet, vpc in vpcs.items() if _leads_out(tables.get(subnet) or tables.get(vpc) or {})}


def _leads_out(table: dict[str, Any]) -> bool:
    return any(str(route.get("GatewayId", "")).startswith("igw-") for route in table.get("Routes", []))


def security_groups(clients: Clients, things: list[Thing]) -> Iterator[Missing]:
    """Yield security groups that there are not, and those of another VPC than the subnets that they go with."""
    ec2 = clients("ec2")
    pages = ec2.get_paginator("describe_security_groups").paginate(
        Filters=[{"Name": "group-id", "Values": [thing.name for thing in things]}]
    )
    there = {group["GroupId"]: group["VpcId"] for page in pages for group in page["SecurityGroups"]}
    beside = _subnets(ec2, [subnet for thing in things for of in thing.fits for subnet in of.split()])
    for thing in things:
        if thing.name not in there:
            yield Missing(
                f"there is no security group {thing.name!r} in {thing.region} {thing.told}",
                "name one of this account, or leave the setting out: EMR then makes its own",
            )
            continue
        for of, used in thing.fits.items():
            foreign = [one for one in of.split() if one in beside and beside[one]["VpcId"] != there[thing.name]]
            if foreign:
                yield Missing(
                    f"security group {thing.name!r} lies in {there[thing.name]}, and subnet {foreign[0]!r} in "
                    f"{beside[foreign[0]]['VpcId']} {used.told}",
                    "name a group and a subnet of one VPC",
                )


def zones(clients: Clients, things: list[Thing]) -> Iterator[Missing]:
    """Yield availability zones that the account does not have."""
    there = _zones(clients("ec2"))
    for thing in things:
        if thing.name not in there:
            yield Missing(
                f"there is no availability zone {thing.name!r} for this account {thing.told}",
                f"take one of {', '.join(there)}",
            )


def _zones(ec2: Any) -> list[str]:
    answer = ec2.describe_availability_zones(AllAvailabilityZones=False)
    return sorted(zone["ZoneName"] for zone in answer["AvailabilityZones"] if zone["State"] == "available")


def key_pairs(clients: Clients, things: list[Thing]) -> Iterator[Missing]:
    """Yield key pairs that there are not."""
    answer = clients("ec2").describe_key_pairs(
        Filters=[{"Name": "key-name", "Values": [thing.name for thing in things]}]
    )
    there = {pair["KeyName"] for pair in answer["KeyPairs"]}
    for thing in things:
        if thing.name not in there:
            yield Missing(
                f"there is no key pair {thing.name!r} in {thing.region} {thing.told}",
                f"`aws ec2 create-key-pair --region {thing.region} --key-name {thing.name}` makes it, or leave the setting out",
            )


def amis(clients: Clients, things: list[Thing]) -> Iterator[Missing]:
    """Yield machine images that there are not, or that cannot be used yet."""
    answer = clients("ec2").describe_images(Filters=[{"Name": "image-id", "Values": [thing.name for thing in things]}])
    there = {image["ImageId"] for image in answer["Images"] if image["State"] == "available"}
    for thing in things:
        if thing.name not in there:
            yield Missing(
                f"there is no AMI {thing.name!r} in {thing.region} that this account may use {thing.told}",
                "copy it into the region and share it with the account, or leave the setting out",
            )


def instance_types(clients: Clients, things: list[Thing]) -> Iterator[Missing]:
    """Yield instance types that the region does not offer, or none of the zones in which a profile's nodes may be."""
    ec2 = clients("ec2")
    offered = _offers(ec2, "region", things)
    in_zones = _offers(ec2, "availability-zone", things)
    zone_of = _zones_of(ec2, {place for thing in things for of in thing.fits for place in of.split()})
    for thing in things:
        if not offered.get(thing.name):
            yield Missing(
                f"{thing.region} has no instance type {thing.name!r} {thing.told}",
                f"take another: `aws ec2 describe-instance-type-offerings --region {thing.region}` lists them",
            )
            continue
        for of, used in thing.fits.items():
            places = {zone_of[place] for place in of.split() if place in zone_of}
            if places and not places & in_zones.get(thing.name, set()):
                yield Missing(
                    f"instance type {thing.name!r} is not offered in {' or '.join(sorted(places))} {used.told}",
                    f"take another type, or a subnet in {' or '.join(sorted(in_zones[thing.name]))}",
                )


def _zones_of(ec2: Any, places: set[str]) -> dict[str, str]:
    """Return the zones of subnets, and zones as themselves; what there is not, is left out."""
    named = [place for place in places if place.startswith("subnet-")]
    zones = {name: str(one["AvailabilityZone"]) for name, one in _subnets(ec2, named).items()} if named else {}
    return zones | ({zone: zone for zone in _zones(ec2)} if len(named) < len(places) else {})


def _offers(ec2: Any, kind: str, things: list[Thing]) -> dict[str, set[str]]:
    """Return where each of the types is offered: in which region, or in which zones."""
    pages = ec2.get_paginator("describe_instance_type_offerings").paginate(
        LocationType=kind, Filters=[{"Name": "instance-type", "Values": [thing.name for thing in things]}]
    )
    offers: dict[str, set[str]] = {}
    for page in pages:
        for offer in page["InstanceTypeOfferings"]:
            offers.setdefault(offer["InstanceType"], set()).add(offer["Location"])
    return offers
