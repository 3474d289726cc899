"""Owns the table's rows of the operations on tags."""

from typing import Final

from agent.api import errors
from agent.api.rows.operation import Operation
from agent.api.shapes import tags
from agent.api.shapes.base import Empty

TAG_RESOURCE: Final = Operation(
    "TagResource",
    tags.TagResourceRequest,
    Empty,
    "kms:TagResource",
    (
        errors.KMSInternalException,
        errors.NotFoundException,
        errors.InvalidArnException,
        errors.KMSInvalidStateException,
        errors.LimitExceededException,
        errors.TagException,
    ),
)
UNTAG_RESOURCE: Final = Operation(
    "UntagResource",
    tags.UntagResourceRequest,
    Empty,
    "kms:UntagResource",
    (
        errors.KMSInternalException,
        errors.NotFoundException,
        errors.InvalidArnException,
        errors.KMSInvalidStateException,
        errors.TagException,
    ),
)
LIST_RESOURCE_TAGS: Final = Operation(
    "ListResourceTags",
    tags.ListResourceTagsRequest,
    tags.ListResourceTagsResponse,
    "kms:ListResourceTags",
    (
        errors.KMSInternalException,
        errors.NotFoundException,
        errors.InvalidArnException,
        errors.InvalidMarkerException,
    ),
)
