//! Every message beside its bytes, field by field. The bytes, digests and signatures were made by other implementations:
//! Google's protobuf, PyCryptodome's keccak, eth-account's EIP-191 and EIP-712, libsodium's Ed25519.
//!
//! In the tables `ab*32` is a byte repeated, `"…"` is text, and what follows `//` is the field's name in the schema.
#![allow(clippy::unwrap_used)] // A test may.

mod calls;
mod envelopes;
mod identities;
mod passes;
mod policies;
mod refusals;

use std::time::Duration;

use alloy_primitives::{Address, B256, hex, keccak256};
use ed25519_dalek::SigningKey;
use prost::Message;
use xmtp_proto::account::Account;
use xmtp_proto::derive::{Issue, NetworkId, cancelled_hash};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::FieldElement;
use xmtp_proto::key_bundle::{AttestedKeys, InvalidBundle, KeyBundle};
use xmtp_proto::opening::Opening;
use xmtp_proto::pass::{Claim, Connection, Issuer, Member, Owner, Pass, Posting, Proof, Stake, Stamp};
use xmtp_proto::policy::{Policy, SignedPolicy};
use xmtp_proto::postmark::{Cursor, Postmark, SignedPostmark};
use xmtp_proto::record::Record;
use xmtp_proto::refusal::{AskedBy, Code, Refusal};
use xmtp_proto::requirement::Requirement;
use xmtp_proto::signature;
use xmtp_proto::submission::Submission;
use xmtp_proto::time::{Epoch, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_proto::vault::VaultRecord;
use xmtp_proto::wire;

const NETWORK: NetworkId = NetworkId(B256::repeat_byte(0x11));

#[track_caller]
fn check_bytes(message: impl Message, expected: &str) {
    assert_eq!(hex::encode(message.encode_to_vec()), hex::encode(bytes(expected)));
}

/// Reads a table of bytes.
fn bytes(table: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in table.lines() {
        let line = line.split(" // ").next().unwrap_or_default();
        for (position, part) in line.split('"').enumerate() {
            if position % 2 == 1 {
                bytes.extend_from_slice(part.as_bytes());
                continue;
            }
            for word in part.split_whitespace() {
                let (digits, times) = word.split_once('*').unwrap_or((word, "1"));
                bytes.extend(hex::decode(digits).unwrap().repeat(times.parse().unwrap()));
            }
        }
    }
    bytes
}

fn account() -> Account {
    "eip155:1:0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f".parse().unwrap()
}

/// The secret key of RFC 8032, section 7.1, test 1.
fn identity_key() -> SigningKey {
    SigningKey::from_bytes(&hex!("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
}

fn now() -> Timestamp {
    Timestamp::from_nanos(1_700_000_000_000_000_001)
}

fn element(byte: u8) -> FieldElement {
    FieldElement::from_be_bytes([byte; 32]).unwrap()
}

fn requirement(text: &str) -> Requirement {
    text.parse().unwrap()
}

fn envelope() -> Envelope {
    Envelope { topic: Topic::Invite(account()), sent_at: now(), ciphertext: vec![0xde, 0xad, 0xbe, 0xef] }
}

fn proof() -> Proof {
    Proof {
        root: element(1).into(),
        nullifier: element(2).into(),
        share: element(3).into(),
        tag: element(4).into(),
        points: [5; 128],
    }
}

fn submission() -> Submission {
    let posting = Pass::Posting(Posting { key: [9; 32], signature: [0xb; 64] });
    Submission::new(envelope(), vec![posting, Pass::Owner(Owner { signature: [0xb; 64] })]).unwrap()
}

/// Signed by the operator whose secret key is 32 bytes of 0x42.
fn postmark() -> SignedPostmark {
    SignedPostmark {
        postmark: Postmark {
            network: NETWORK,
            operator: "0x17c5185167401ed00cf5f5b2fc97d9bbfdb7d025".parse().unwrap(),
            cursor: Cursor(7),
            envelope: envelope().id(NETWORK),
            accepted_at: now(),
            cancelled: cancelled_hash(&[element(2).into()]),
        },
        signature: hex!(
            "2b0f38f109c26c87dcf9746e1f815da0e95e9a47de717eaddb208b7c8b726a2c"
            "55594a0caf5c034d70200b49fbc616a0142db9f57a0b1ed91414ea64e1b747081b"
        ),
    }
}

fn record() -> Record {
    Record { submission: submission(), postmark: postmark() }
}

const ENVELOPE: &str = r#"
    0a 48 "/xmtp/1/invite-eip155:1:0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f/proto" // topic
    10 8180a8b1e39fe7cb17 // sent_at_ns: 1,700,000,000,000,000,001
    1a 04 deadbeef // ciphertext
"#;

fn submission_table() -> String {
    format!(
        "
        0a 5a // envelope
        {ENVELOPE}
        12 66 // passes
          32 64 // posting
            0a 20 09*32 // key
            12 40 0b*64 // signature
        12 44 // passes
          3a 42 // owner
            0a 40 0b*64 // signature
        "
    )
}

const POSTMARK: &str = "
    0a 20 11*32 // network_id
    12 14 17c5185167401ed00cf5f5b2fc97d9bbfdb7d025 // operator
    18 07 // cursor
    22 20 8b31ad7300946011ee9808bfdf1a38ddb9402e35c2f8ac87eadcabe8daf29019 // envelope_id
    28 8180a8b1e39fe7cb17 // accepted_at_ns: 1,700,000,000,000,000,001
    32 20 ee4a079f5b14a24465181d45af32a8053c2d446446d7019359e210b82e53b8ba // cancelled
    3a 41 // signature
      2b0f38f109c26c87dcf9746e1f815da0e95e9a47de717eaddb208b7c8b726a2c
      55594a0caf5c034d70200b49fbc616a0142db9f57a0b1ed91414ea64e1b74708
      1b
";

fn record_table() -> String {
    let submission = submission_table();
    format!(
        "
        0a 8a 02 // submission
        {submission}
        12 cb 01 // postmark
        {POSTMARK}
        "
    )
}
