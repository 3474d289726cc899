"""Multi-Region keys for tests: a service as asked for one of its Regions, and families of keys."""

from agent.api.shapes.keys import KeyMetadata
from services import ACCOUNT, Service

EAST, WEST, HOME = "us-east-1", "eu-west-1", "local"


def in_region(service: Service, region: str) -> Service:
    """The same service as asked for another Region."""
    return Service(service.kms.in_region(region), service.audit, service.clock, service.directory)


def arn(region: str, key_id: str) -> str:
    """Return the ARN of a key in a Region."""
    return f"arn:aws:kms:{region}:{ACCOUNT}:key/{key_id}"


async def described(service: Service, key_id: str) -> KeyMetadata:
    """Return what DescribeKey tells."""
    metadata: KeyMetadata = (await service.call("DescribeKey", key_id=key_id)).key_metadata
    return metadata


async def family(service: Service, **members: object) -> tuple[Service, Service, str]:
    """Return a primary in us-east-1 and a replica in eu-west-1 that is ready."""
    east, west = in_region(service, EAST), in_region(service, WEST)
    key = (await east.create_key(multi_region=True, **members)).key_id
    await east.call("ReplicateKey", key_id=key, replica_region=WEST)
    service.clock.advance(seconds=2)
    return east, west, key
