"""kms-agent: a key management service for one machine, speaking the AWS KMS API."""
