"""AWS Signature Version 4, pure: what both sides of a signature compute. Knows no store and no AWS error."""
