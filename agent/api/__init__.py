"""The contract: operations, shapes, enums, ARNs, errors and codec of the AWS KMS API."""
