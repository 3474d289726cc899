"""kms-agent policy and kms-agent explain, against an agent that runs."""

import json
from typing import Final

from agent.api.operations import ENCRYPT, PUT_KEY_POLICY, RE_ENCRYPT
from agent.api.shapes.cryptographic import EncryptRequest, ReEncryptRequest
from agent.api.shapes.policies import PutKeyPolicyRequest
from agent.cli.exits import Exit
from agent.operations.policies import default_policy
from agents import RunningAgent

POLICY: Final = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "use",
                "Effect": "Allow",
                "Action": ["kms:Encrypt", "kms:Decrypt"],
                "Resource": "*",
                "Condition": {"StringEquals": {"kms:EncryptionContext:app": "spool"}},
            }
        ],
    },
    indent=1,
)
ALICE: Final = "arn:aws:iam::000000000000:user/alice"


def run(agent: RunningAgent, *arguments: str, words: str = "", status: Exit = Exit.DONE) -> str:
    """Run a command and return what it printed."""
    result = agent.command(*arguments, words=words)
    assert result.returncode == status, result.stderr
    return result.stdout if status in (Exit.DONE, Exit.DENIED) else result.stderr


def test_policies_are_put_shown_and_taken_away(running_agent: RunningAgent) -> None:
    """A policy comes back letter for letter; the list shows what a user is given."""
    run(running_agent, "policy", "put", "user/alice", "spool", "-", words=POLICY)
    assert run(running_agent, "policy", "get", "user/alice", "spool") == POLICY
    run(running_agent, "policy", "boundary", "user/alice", "-", words=POLICY)
    run(running_agent, "policy", "tag", "user/alice", "team=red", "site=")
    listed = run(running_agent, "policy", "list")
    assert all(word in listed for word in (ALICE, "spool", "yes", "site=, team=red"))
    (entry,) = json.loads(run(running_agent, "policy", "list", ALICE, "--json"))
    assert entry["PolicyNames"] == ["spool"]
    assert entry["PermissionsBoundary"] == POLICY
    run(running_agent, "policy", "untag", "user/alice", "site", "team")
    run(running_agent, "policy", "boundary", "user/alice", "--remove")
    run(running_agent, "policy", "delete", "user/alice", "spool")
    (entry,) = json.loads(run(running_agent, "policy", "list", ALICE, "--json"))
    assert entry == {"PrincipalArn": ALICE, "PolicyNames": []}


def test_what_cannot_be_done_is_said(running_agent: RunningAgent) -> None:
    """A policy that is not understood, a policy that is not there, a command that contradicts itself."""
    wrong = POLICY.replace('"kms:Encrypt"', '"kms:Encript"')
    told = run(running_agent, "policy", "put", "user/alice", "p", "-", words=wrong, status=Exit.INVALID)
    assert 'Statement 1, Action: "kms:Encript" is not an action of this service' in told
    run(running_agent, "policy", "get", "user/alice", "p", status=Exit.NOT_FOUND)
    for arguments in (("boundary", "user/alice"), ("tag", "user/alice", "team")):
        assert running_agent.command("policy", *arguments).returncode == Exit.USAGE


def test_explain_says_what_decides(running_agent: RunningAgent) -> None:
    """The verdict, the statement, the condition and what the request has, with status 4 for a refusal."""
    run(running_agent, "policy", "put", "user/alice", "spool", "-", words=POLICY)
    key = run(running_agent, "key", "create").strip()
    asked = ("explain", "--principal", "user/alice", "--action", "kms:Encrypt", "--key", key)
    told = run(running_agent, *asked, status=Exit.DENIED)
    assert f"Refused: User: {ALICE} is not authorized to perform: kms:Encrypt on resource: {key} " in told
    assert "because no identity-based policy allows the kms:Encrypt action" in told
    assert "policy spool, 1 (use)" in told
    assert "StringEquals kms:EncryptionContext:app: spool; the request has: missing" in told
    told = run(running_agent, *asked, "--context", "app=spool")
    assert told.startswith("Allowed by an identity-based policy\n")
    told = run(running_agent, *asked, "--condition", "kms:encryptioncontext:app=spool", "--json")
    assert json.loads(told)["Allowed"] is True
    assert running_agent.command(*asked, "--context", "app").returncode == Exit.USAGE


def test_a_recorded_request_can_be_asked_about(running_agent: RunningAgent) -> None:
    """By its id in the audit log: who asked, for which key, with which context."""
    key = run(running_agent, "key", "create").strip()
    other = run(running_agent, "key", "create").strip()
    with running_agent.client() as client:
        encrypted = client.call(
            ENCRYPT, EncryptRequest(key_id=key, plaintext=b"t", encryption_context={"app": "spool"})
        )
        moved = ReEncryptRequest(
            ciphertext_blob=encrypted.ciphertext_blob,
            source_encryption_context={"app": "spool"},
            destination_key_id=other,
        )
        client.call(RE_ENCRYPT, moved)
    recorded = [json.loads(line) for line in running_agent.audit_path.read_bytes().splitlines()]
    (request_id,) = [line["requestID"] for line in recorded if line["eventName"] == "ReEncrypt"]
    condition = {"StringEquals": {"kms:EncryptionContext:app": "spool"}}
    deny = {"Sid": "no", "Effect": "Deny", "Principal": "*", "Action": "kms:ReEncryptFrom", "Resource": "*"}
    policy = json.loads(default_policy("000000000000"))
    policy["Statement"].append({**deny, "Condition": condition})
    asked = ("explain", "--log", str(running_agent.audit_path), "--request-id")
    assert run(running_agent, *asked, request_id).count("Allowed by an identity-based policy") == 2
    with running_agent.client() as client:
        client.call(PUT_KEY_POLICY, PutKeyPolicyRequest(key_id=key, policy=json.dumps(policy)))
    told = run(running_agent, *asked, request_id, status=Exit.DENIED)
    assert f"root: kms:ReEncryptFrom {key}\nRefused: " in told
    assert f"root: kms:ReEncryptTo {other}\nAllowed " in told
    assert ["resource-based", "policy,", "2", "(no)", "Deny", "yes"] in map(str.split, told.splitlines())
    run(running_agent, *asked, "absent", status=Exit.NOT_FOUND)
    run(running_agent, "explain", "--principal", "root", status=Exit.USAGE)
