"""Print what is in a volume: `PYTHONPATH=tests python -m decoder ROOT < keys.json`.

The keys are read from standard input, so that they show in no process list:
{"volume_key": "<hex>", "bucket_keys": {"<id, hex>": "<key, hex>"}}, and if need be "data_keys", by their
ciphertexts, and "customer_keys": ["<hex>"]. One JSON object per entry is printed.
"""

import hashlib
import json
import sys

from decoder import Keys, Refused, decode


def main() -> int:
    """Read the keys, print the entries; 1 if anything had to be refused."""
    if len(sys.argv) != 2:
        sys.stderr.write(__doc__ or "")
        return 2
    given = json.load(sys.stdin)
    bucket_keys, data_keys = (
        {bytes.fromhex(name): bytes.fromhex(key) for name, key in given.get(kind, {}).items()}
        for kind in ("bucket_keys", "data_keys")
    )
    customer_keys = tuple(map(bytes.fromhex, given.get("customer_keys", ())))
    keys = Keys(bytes.fromhex(given["volume_key"]), bucket_keys, data_keys, customer_keys)
    try:
        for entry in decode(sys.argv[1], keys):
            shown: dict[str, object] = {"path": _text(entry.path), "type": entry.type}
            if entry.content is not None:
                shown |= {"size": len(entry.content), "sha256": hashlib.sha256(entry.content).hexdigest()}
            if entry.target is not None:
                shown["target"] = _text(entry.target)
            if entry.xattrs:
                shown["xattrs"] = {_text(name): value.hex() for name, value in entry.xattrs.items()}
            sys.stdout.write(json.dumps(shown) + "\n")
    except Refused as refusal:
        sys.stderr.write(f"refused: {refusal}\n")
        return 1
    return 0


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
