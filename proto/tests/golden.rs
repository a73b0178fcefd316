//! Every message beside its bytes, field by field. The bytes, digests and signatures were made by other implementations:
//! Google's protobuf, PyCryptodome's keccak, eth-account's EIP-191 and EIP-712, libsodium's Ed25519.
//!
//! In the tables `ab*32` is a byte repeated, `"…"` is text, and what follows `//` is the field's name in the schema.
#![allow(clippy::unwrap_used)] // A test may.

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

#[test]
fn envelope_is_three_fields() {
    check_bytes(wire::Envelope::from(envelope()), ENVELOPE);
    assert_eq!(envelope().id(NETWORK).0, hex!("8b31ad7300946011ee9808bfdf1a38ddb9402e35c2f8ac87eadcabe8daf29019"));
}

const PROOF: &str = "
        0a 20 01*32 // root
        12 20 02*32 // nullifier
        1a 20 03*32 // share
        22 20 04*32 // tag
        2a 80 01 05*128 // points
";

#[track_caller]
fn check_pass(pass: Pass, expected: &str) {
    check_bytes(wire::Pass::from(pass), expected);
}

#[test]
fn tagged_stamp() {
    let denomination = 5.try_into().unwrap();
    check_pass(
        Pass::Stamp(Stamp { denomination, issue: Issue(215), proof: proof(), nonce: None }),
        &format!(
            "
            0a 93 02 // stamp
              08 05 // denomination
              10 d7 01 // issue: 215
              1a 8b 02 // proof
            {PROOF}
            "
        ),
    );
}

#[test]
fn stamp_prepared_under_a_nonce() {
    let (denomination, nonce) = (500.try_into().unwrap(), Some(element(6).into()));
    check_pass(
        Pass::Stamp(Stamp { denomination, issue: Issue(215), proof: proof(), nonce }),
        &format!(
            "
            0a b6 02 // stamp
              08 f4 03 // denomination: 500
              10 d7 01 // issue: 215
              1a 8b 02 // proof
            {PROOF}
              22 20 06*32 // nonce
            "
        ),
    );
}

#[test]
fn stake() {
    check_pass(
        Pass::Stake(Stake { tier: 2, epoch: now().epoch(), proof: proof() }),
        &format!(
            "
            12 94 02 // stake
              08 02 // tier
              10 db9901 // epoch: 19,675
              1a 8b 02 // proof
            {PROOF}
            "
        ),
    );
}

#[test]
fn claim() {
    check_pass(
        Pass::Claim(Claim { id: [7; 32].into(), generation: 215, epoch: Epoch(19_675), proof: proof() }),
        &format!(
            "
            1a b7 02 // claim
              0a 20 07*32 // id
              10 d7 01 // generation: 215
              18 db9901 // epoch: 19,675
              22 8b 02 // proof
            {PROOF}
            "
        ),
    );
}

#[test]
fn member() {
    check_pass(
        Pass::Member(Member { operator: [8; 32].into(), generation: 215, epoch: Epoch(19_675), proof: proof() }),
        &format!(
            "
            22 b7 02 // member
              0a 20 08*32 // operator
              10 d7 01 // generation: 215
              18 db9901 // epoch: 19,675
              22 8b 02 // proof
            {PROOF}
            "
        ),
    );
}

#[test]
fn connection() {
    check_pass(
        Pass::Connection(Connection {
            holder: [9; 32],
            quota: 1000,
            expires_at: Timestamp::from_secs(1_800_000_000),
            attestation: [0xa; 64],
            signature: [0xb; 64],
        }),
        "
            2a af 01 // connection
              0a 20 09*32 // holder
              10 e8 07 // quota: 1,000
              18 80a4a7da06 // expires_at_s: 1,800,000,000
              22 40 0a*64 // attestation
              2a 40 0b*64 // signature
        ",
    );
}

#[test]
fn posting() {
    check_pass(
        Pass::Posting(Posting { key: [9; 32], signature: [0xb; 64] }),
        "
            32 64 // posting
              0a 20 09*32 // key
              12 40 0b*64 // signature
        ",
    );
}

#[test]
fn owner() {
    check_pass(
        Pass::Owner(Owner { signature: [0xb; 64] }),
        "
            3a 42 // owner
              0a 40 0b*64 // signature
        ",
    );
}

#[test]
fn issuer() {
    check_pass(
        Pass::Issuer(Issuer { issuer: Address::repeat_byte(0xc), signature: [0xb; 65] }),
        "
            42 59 // issuer
              0a 14 0c*20 // issuer
              12 41 0b*65 // signature
        ",
    );
}

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

#[test]
fn submission_is_an_envelope_and_its_passes() {
    check_bytes(wire::Submission::from(submission()), &submission_table());
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

#[test]
fn postmark_is_signed_as_typed_data() {
    check_bytes(wire::Postmark::from(postmark()), POSTMARK);
    assert_eq!(
        postmark().postmark.signing_hash(),
        hex!("bced55903ac4af824423cfaf4bfd31d2f2bc207bd6aa52307f3c88d6ad5af21a")
    );
    assert_eq!(postmark().verify(), Ok(()));
}

#[test]
fn postmark_of_anything_else_is_not_signed() {
    let changes: [fn(&mut Postmark); 6] = [
        |it| it.network = [0x12; 32].into(),
        |it| it.operator = Address::repeat_byte(1),
        |it| it.cursor = Cursor(8),
        |it| it.envelope = [0; 32].into(),
        |it| it.accepted_at = Timestamp::from_nanos(1_700_000_000_000_000_002),
        |it| it.cancelled = B256::ZERO,
    ];
    for (position, change) in changes.into_iter().enumerate() {
        let mut signed = postmark();
        change(&mut signed.postmark);
        assert_eq!(signed.verify(), Err(signature::Invalid), "change {position}");
    }
}

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

#[test]
fn record_is_a_submission_and_its_postmark() {
    check_bytes(wire::Record::from(record()), &record_table());
    assert_eq!(record().to_bytes(), bytes(&record_table()));
}

#[test]
fn opening_is_signed_by_the_key_that_its_topic_is_named_after() {
    let opening = Opening::new(
        NETWORK,
        identity_key().verifying_key().to_bytes(),
        1000,
        Timestamp::from_nanos(1_707_776_000_999_999_999),
        |digest| signature::sign(&identity_key(), digest),
    )
    .unwrap();
    let table = "
        d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a // key
        000003e8 // quota: 1,000
        0000000065ca9800 // expiry: 1,707,776,000
        9b6a5626e289af8ed6fda2364cecc16ad2f38af145b33101709cd05aa99b450c // signature
        a0db0083fd8af41fe96269bc7ed527241131d88c26377cb0d9e855c4062dce0e
    ";
    let bytes = bytes(table);
    assert_eq!(hex::encode(opening.to_bytes()), hex::encode(&bytes));
    assert_eq!(opening.verify(NETWORK), Ok(()));
    assert_eq!(Opening::from_bytes(&bytes).as_ref(), Ok(&opening));
    let topic = "/xmtp/1/conv-796f4b79b659921a51e4365127b389bd6305c4a175d6928caf197bc245ab92bd/proto";
    assert_eq!(opening.topic(), topic.parse().unwrap());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // The quota's high bits are out of range; everything else is signed.
        if let Ok(opening) = Opening::from_bytes(&flipped) {
            assert_eq!(opening.verify(NETWORK), Err(signature::Invalid), "bit {bit}");
        }
    }
}

/// Attested by the wallet whose secret key is 32 bytes of 0x46.
fn key_bundle() -> KeyBundle {
    KeyBundle {
        keys: AttestedKeys {
            account: account(),
            revision: 3,
            identity_key: identity_key().verifying_key().to_bytes(),
            agreement_key: [0xd; 32],
            generation: 215,
            claim_commitment: element(0xe).into(),
            member_commitment: element(0xf).into(),
        },
        wallet_signature: hex!(
            "d19a71ab81a8227fe0b7d727d77356ab76b3e9f0b08f119809661ef46c2da5a7"
            "7212081eb6094f22bdaf0d72d67124f9c83c0e5225cb6f0a3ec56771db782cf81b"
        ),
        version: 4,
        prekey: [0x10; 32],
        signature: hex!(
            "631129fb12cd806525c4dacdbbb4e8e0c58d7af6e236459f34dab9ec5450669b"
            "ed975d3e15fbccd5a8e3cbc0dd8829dc14b21503d5dcc438e2f9817b7fbc1c00"
        ),
    }
}

#[test]
fn wallet_signs_this_text_to_the_letter() {
    let text = "\
XMTP: attest the messaging keys of this account

Account: eip155:1:0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f
Network: 0x1111111111111111111111111111111111111111111111111111111111111111
Revision: 3
Keys: 0x6bc48f2bfba91a236ec9fa6d6a324df239a1255e84533a6e8f6bea8486c3c124

Whoever holds these keys reads and writes mail in your name. This moves no funds.";
    assert_eq!(key_bundle().keys.attestation_text(NETWORK), text);
    assert_eq!(
        key_bundle().keys.digest(NETWORK),
        hex!("6bc48f2bfba91a236ec9fa6d6a324df239a1255e84533a6e8f6bea8486c3c124")
    );
}

#[test]
fn key_bundle_proves_itself() {
    let bundle = key_bundle();
    assert_eq!(bundle.digest(NETWORK), hex!("181dfe645670fb27209a290d7bac69c022818b09355c27711efbcb0adacbb325"));
    assert_eq!(signature::sign(&identity_key(), bundle.digest(NETWORK)), bundle.signature);
    assert_eq!(bundle.verify(NETWORK), Ok(()));
    assert_eq!(bundle.verify([0x12; 32].into()), Err(InvalidBundle::Wallet));
    let table = r#"
        0a 33 "eip155:1:0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f" // account
        10 03 // revision
        1a 20 d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a // identity_key
        22 20 0d*32 // agreement_key
        28 d7 01 // generation: 215
        32 20 0e*32 // claim_commitment
        3a 20 0f*32 // member_commitment
        42 41 // wallet_signature
          d19a71ab81a8227fe0b7d727d77356ab76b3e9f0b08f119809661ef46c2da5a7
          7212081eb6094f22bdaf0d72d67124f9c83c0e5225cb6f0a3ec56771db782cf8
          1b
        48 04 // version
        52 20 10*32 // prekey
        5a 40 // signature
          631129fb12cd806525c4dacdbbb4e8e0c58d7af6e236459f34dab9ec5450669b
          ed975d3e15fbccd5a8e3cbc0dd8829dc14b21503d5dcc438e2f9817b7fbc1c00
    "#;
    check_bytes(wire::KeyBundle::from(bundle), table);
    assert_eq!(bundle.to_bytes(), bytes(table));
}

#[test]
fn key_bundle_with_any_bit_flipped_does_not_prove_itself() {
    let good = key_bundle().to_bytes();
    for position in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[position / 8] ^= 1 << (position % 8);
        // A flip in a field's header may make it an unknown field; then the field is missing, which is refused too.
        if let Ok(bundle) = KeyBundle::from_bytes(&bytes) {
            assert!(bundle.verify(NETWORK).is_err(), "bit {position} does not matter");
        }
    }
}

#[test]
fn key_bundle_with_any_field_changed_names_the_signature_that_does_not_hold() {
    use InvalidBundle::{Identity, Wallet};
    type Change = fn(&mut KeyBundle);
    let changes: [(Change, InvalidBundle); 11] = [
        (|it| it.keys.account = Account::externally_owned(Address::repeat_byte(1)), Wallet),
        (|it| it.keys.account = Account::on_chain(10, it.keys.account.address()), Wallet),
        (|it| it.keys.revision += 1, Wallet),
        (|it| it.keys.identity_key[0] ^= 1, Wallet),
        (|it| it.keys.agreement_key[0] ^= 1, Wallet),
        (|it| it.keys.generation += 1, Wallet),
        (|it| it.keys.claim_commitment = element(1).into(), Wallet),
        (|it| it.keys.member_commitment = element(1).into(), Wallet),
        (|it| it.version += 1, Identity),
        (|it| it.prekey[0] ^= 1, Identity),
        (|it| it.signature[0] ^= 1, Identity),
    ];
    for (position, (change, expected)) in changes.into_iter().enumerate() {
        let mut bundle = key_bundle();
        change(&mut bundle);
        assert_eq!(bundle.verify(NETWORK), Err(expected), "change {position}");
    }
}

#[test]
fn vault_record() {
    let record = VaultRecord { version: 2, salt: [0x11; 32], nonce: [0x12; 24], sealed: vec![0x13; 48] };
    let table = "
        08 02 // version
        12 20 11*32 // salt
        1a 18 12*24 // nonce
        22 30 13*48 // sealed
    ";
    assert_eq!(record.to_bytes(), bytes(table));
    check_bytes(wire::VaultRecord::from(record), table);
}

#[test]
fn requirement_of_every_kind() {
    let claim = format!("claim(0x{})", "07".repeat(32));
    let text = format!(
        "any(connection, all(member, stamp(5, tagged)), stake(2), stake(any), {claim}, claim(any), stamp(1000))"
    );
    check_bytes(
        wire::Requirement::from(requirement(&text)),
        "
            0a 4f // any_of
              0a 02 // parts
                3a 00 // connection
              0a 0e // parts
                12 0c // all_of
                  0a 02 // parts
                    32 00 // member
                  0a 06 // parts
                    1a 04 // stamp
                      08 05 // at_least
                      10 01 // tagged
              0a 04 // parts
                22 02 // stake
                  08 02 // tier
              0a 02 // parts
                22 00 // stake
              0a 24 // parts
                2a 22 // claim
                  0a 20 07*32 // id
              0a 02 // parts
                2a 00 // claim
              0a 05 // parts
                1a 03 // stamp
                  08 e8 07 // at_least: 1,000
        ",
    );
    check_bytes(wire::Requirement::from(Requirement::nothing()), "12 00 // all_of");
}

#[test]
fn policy_is_signed_in_the_bytes_it_is_published_in() {
    let policy = Policy {
        account: account(),
        version: 9,
        requirement: requirement("stamp(5)"),
        blocked_tags: vec![element(4).into()],
        revoked_attestations: vec![keccak256([0xa; 64])],
    };
    let inner = r#"
          0a 33 "eip155:1:0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f" // account
          10 09 // version
          1a 04 // requirement
            1a 02 // stamp
              08 05 // at_least
          22 20 04*32 // blocked_tags
          2a 20 7a65e531c661b8ed95580064255d9ea910b8843057e41f805b1d55b681e8dda5 // revoked_attestations
    "#;
    check_bytes(wire::Policy::from(policy.clone()), inner);

    let signed = SignedPolicy::new(NETWORK, policy, |digest| signature::sign(&identity_key(), digest)).unwrap();
    assert_eq!(signed.digest(NETWORK), hex!("3612ffb5e5473d0eb4473be1adcae4350b3120f7f32743456eb9f553a403c471"));
    assert_eq!(signed.verify(NETWORK, identity_key().verifying_key().as_bytes()), Ok(()));
    let table = format!(
        "
        0a 81 01 // policy
        {inner}
        12 40 // signature
          2683fc42c18c262ff0c2a07933f66762971573c6112efc28a65f4c2ad23433ad
          cc32c7fa731bda35801f689556dc3271b5bdb68fa8b05359cfcd657aa594ae05
        "
    );
    assert_eq!(hex::encode(signed.to_bytes()), hex::encode(bytes(&table)));
}

#[test]
fn policy_of_a_later_schema_is_kept_in_the_bytes_that_were_signed() {
    let policy = Policy {
        account: account(),
        version: 9,
        requirement: Requirement::nothing(),
        blocked_tags: Vec::new(),
        revoked_attestations: Vec::new(),
    };
    let mut inner = wire::Policy::from(policy).encode_to_vec();
    inner.extend(bytes("a2 06 03 010203 // a field with number 100"));
    let digest = signature::digest(signature::Label::Policy, NETWORK, &[keccak256(&inner).as_slice()]);
    let signature = signature::sign(&identity_key(), digest).to_vec();
    let published = wire::SignedPolicy { policy: inner, signature }.encode_to_vec();

    let signed = SignedPolicy::from_bytes(&published).unwrap();
    assert_eq!(signed.verify(NETWORK, identity_key().verifying_key().as_bytes()), Ok(()));
    assert_eq!(signed.to_bytes(), published);
}

#[test]
fn policy_with_any_bit_flipped_is_not_signed() {
    let policy = Policy {
        account: account(),
        version: 9,
        requirement: requirement("any(connection, stamp(5))"),
        blocked_tags: Vec::new(),
        revoked_attestations: Vec::new(),
    };
    let signed = SignedPolicy::new(NETWORK, policy, |digest| signature::sign(&identity_key(), digest)).unwrap();
    let (key, good) = (identity_key().verifying_key().to_bytes(), signed.to_bytes());
    assert_eq!(SignedPolicy::from_bytes(&good).unwrap().verify(NETWORK, &key), Ok(()));
    for position in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[position / 8] ^= 1 << (position % 8);
        if let Ok(policy) = SignedPolicy::from_bytes(&bytes) {
            assert_eq!(policy.verify(NETWORK, &key), Err(signature::Invalid), "bit {position} does not matter");
        }
    }
}

#[track_caller]
fn check_refusal(code: Code, refusal: Refusal, expected: &str) {
    assert_eq!(refusal.code(), code);
    check_bytes(wire::Refusal::from(refusal), expected);
}

#[test]
fn refusal_of_every_code() {
    check_refusal(
        Code::RequirementUnmet,
        Refusal::RequirementUnmet { unmet: requirement("any(connection, stamp(5))"), asked_by: AskedBy::Network },
        r#"
            08 01 // code
            12 5b "the network asks for any(connection, stamp(5)); attach what is missing to the same envelope" // message
            1a 0c // unmet
              0a 0a // any_of
                0a 02 // parts
                  3a 00 // connection
                0a 04 // parts
                  1a 02 // stamp
                    08 05 // at_least
        "#,
    );
    check_refusal(
        Code::RequirementUnmet,
        Refusal::RequirementUnmet { unmet: requirement("member"), asked_by: AskedBy::Account },
        r#"
            08 01 // code
            12 4a "the recipient asks for member; attach what is missing to the same envelope" // message
            1a 02 // unmet
              32 00 // member
            20 01 // asked_by_account
        "#,
    );
    check_refusal(
        Code::NullifierUsed,
        Refusal::NullifierUsed { nullifier: element(2).into() },
        r#"
            08 02 // code
            12 8d 01 "the stamp with nullifier 0x0202020202020202020202020202020202020202020202020202020202020202 was used for another envelope; take another stamp" // message
            2a 20 02*32 // nullifier
        "#,
    );
    check_refusal(
        Code::RootUnknown,
        Refusal::RootUnknown,
        r#"
            08 03 // code
            12 67 "no such root of this group is known; fetch the bucket again, and prove under a root that the node names" // message
        "#,
    );
    check_refusal(
        Code::RootExpired,
        Refusal::RootExpired,
        r#"
            08 04 // code
            12 49 "the root has expired; fetch the bucket again, and prove under a newer one" // message
        "#,
    );
    check_refusal(
        Code::ProofInvalid,
        Refusal::ProofInvalid,
        r#"
            08 05 // code
            12 45 "the proof does not verify for this envelope, topic, group and network" // message
        "#,
    );
    check_refusal(
        Code::EpochWrong,
        Refusal::EpochWrong,
        r#"
            08 06 // code
            12 3b "the pass is for another epoch or issue than the present one" // message
        "#,
    );
    check_refusal(
        Code::SecretClosed,
        Refusal::SecretClosed,
        r#"
            08 07 // code
            12 5f "the secret behind this pass is public: it signed two envelopes with one index; use another book" // message
        "#,
    );
    check_refusal(
        Code::TagBlocked,
        Refusal::TagBlocked,
        r#"
            08 08 // code
            12 21 "the recipient blocked this sender" // message
        "#,
    );
    check_refusal(
        Code::QuotaExhausted,
        Refusal::QuotaExhausted,
        r#"
            08 09 // code
            12 43 "the quota for this epoch is used up; it starts anew at midnight UTC" // message
        "#,
    );
    check_refusal(
        Code::AlreadyOpen,
        Refusal::AlreadyOpen,
        r#"
            08 0a // code
            12 20 "the conversation is open already" // message
        "#,
    );
    check_refusal(
        Code::NotOwner,
        Refusal::NotOwner,
        r#"
            08 0b // code
            12 57 "the topic belongs to somebody else: its owner's signature is missing or does not verify" // message
        "#,
    );
    check_refusal(
        Code::NotOffered,
        Refusal::NotOffered { what: "a claim".into() },
        r#"
            08 0c // code
            12 07 "a claim" // message
        "#,
    );
    check_refusal(
        Code::NoSuchInbox,
        Refusal::NoSuchInbox,
        r#"
            08 0d // code
            12 48 "the account has no inbox on this network: it has published no key bundle" // message
        "#,
    );
    check_refusal(
        Code::VersionStale,
        Refusal::VersionStale,
        r#"
            08 0e // code
            12 73 "a newer version of this record, or this version with other content, is stored already; read it and go on from there" // message
        "#,
    );
    check_refusal(
        Code::HeadMoved,
        Refusal::HeadMoved { head: Cursor(7) },
        r#"
            08 0f // code
            12 35 "the topic moved on to cursor 7; read it and try again" // message
            30 07 // head
        "#,
    );
    check_refusal(
        Code::TimeOutOfRange,
        Refusal::TimeOutOfRange { now: now() },
        r#"
            08 10 // code
            12 69 "the envelope's time is outside the window that nodes accept; the node's clock reads 1700000000.000000001s" // message
            38 8180a8b1e39fe7cb17 // now_ns: 1,700,000,000,000,000,001
        "#,
    );
    check_refusal(
        Code::ChainViewStale,
        Refusal::ChainViewStale { retry_after: Duration::from_secs(2) },
        r#"
            08 11 // code
            12 35 "the node has lost sight of its chain; try again later" // message
            40 d0 0f // retry_after_ms: 2,000
        "#,
    );
    check_refusal(
        Code::Overloaded,
        Refusal::Overloaded { retry_after: Duration::from_millis(250) },
        r#"
            08 12 // code
            12 3c "the node has too much to do; send the same bytes again later" // message
            40 fa 01 // retry_after_ms: 250
        "#,
    );
    check_refusal(
        Code::Malformed,
        Refusal::Malformed { reason: "envelope is missing".into() },
        r#"
            08 13 // code
            12 13 "envelope is missing" // message
        "#,
    );
}

#[test]
fn network_describes_itself() {
    check_bytes(wire::GetNetworkRequest {}, "");
    check_bytes(
        wire::GetNetworkResponse {
            network_id: NETWORK.as_bytes().to_vec(),
            chain_id: 31337,
            postage: vec![0x14; 20],
            token: vec![0x15; 20],
            operator: vec![0x16; 20],
            verifying_key: vec![0x17; 32],
            issue_seconds: 7_889_400,
            invite_requirement: Some(requirement("stamp(1)").into()),
            joining_requirement: Some(Requirement::nothing().into()),
            now_ns: now().as_nanos(),
            member_limit: 256,
            conversation_bits: 9,
            congestion_steps: vec![2, 4, 300],
        },
        "
            0a 20 11*32 // network_id
            10 e9f401 // chain_id: 31,337
            1a 14 14*20 // postage
            22 14 15*20 // token
            2a 14 16*20 // operator
            32 20 17*32 // verifying_key
            38 f8c3e103 // issue_seconds: 7,889,400
            42 04 // invite_requirement
              1a 02 // stamp
                08 01 // at_least
            4a 02 // joining_requirement
              12 00 // all_of
            50 8180a8b1e39fe7cb17 // now_ns: 1,700,000,000,000,000,001
            58 80 02 // member_limit: 256
            60 09 // conversation_bits
            6a 04 02 04 ac02 // congestion_steps: 2, 4, 300
        ",
    );
}

#[test]
fn publish_call_and_its_answer() {
    let publication = |expected_head| wire::Publication { submission: Some(submission().into()), expected_head };
    let submission = submission_table();
    check_bytes(
        wire::PublishRequest { publications: vec![publication(None), publication(Some(0)), publication(Some(7))] },
        &format!(
            "
            0a 8d 02 // publications
              0a 8a 02 // submission
            {submission}
            0a 8f 02 // publications
              0a 8a 02 // submission
            {submission}
              10 00 // expected_head
            0a 8f 02 // publications
              0a 8a 02 // submission
            {submission}
              10 07 // expected_head
            "
        ),
    );
    let refusal = wire::Refusal { code: 11, message: "x".into(), ..Default::default() };
    let results =
        [wire::publish_result::Result::Postmark(postmark().into()), wire::publish_result::Result::Refusal(refusal)];
    check_bytes(
        wire::PublishResponse { results: results.map(|it| wire::PublishResult { result: Some(it) }).to_vec() },
        &format!(
            r#"
            0a ce 01 // results
              0a cb 01 // postmark
            {POSTMARK}
            0a 07 // results
              12 05 // refusal
                08 0b // code
                12 01 "x" // message
            "#
        ),
    );
}

#[test]
fn query_call_and_its_answer() {
    let topic = envelope().topic.to_string();
    check_bytes(
        wire::QueryRequest { topic, after: 7, limit: 100, descending: true },
        r#"
            0a 48 "/xmtp/1/invite-eip155:1:0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f/proto" // topic
            10 07 // after
            18 64 // limit
            20 01 // descending
        "#,
    );
    let record_table = record_table();
    check_bytes(
        wire::QueryResponse { records: vec![record().into()], more: true },
        &format!(
            "
            0a db 03 // records
            {record_table}
            10 01 // more
            "
        ),
    );
}

#[test]
fn query_by_prefix_and_its_answer() {
    let prefix = Some(wire::ConversationPrefix { bits: 9, prefix: vec![0x19; 32] });
    check_bytes(
        wire::QueryConversationsRequest { prefix, after: 7, limit: 100 },
        "
            0a 24 // prefix
              08 09 // bits
              12 20 19*32 // prefix
            10 07 // after
            18 64 // limit
        ",
    );
    let record_table = record_table();
    check_bytes(
        wire::QueryConversationsResponse { records: vec![record().into()], seen: 300, more: true },
        &format!(
            "
            0a db 03 // records
            {record_table}
            10 ac 02 // seen: 300
            18 01 // more
            "
        ),
    );
}

#[test]
fn query_of_contacts_and_its_answer() {
    check_bytes(
        wire::QueryContactsRequest { after: 7, limit: 100 },
        "
            08 07 // after
            10 64 // limit
        ",
    );
    let record_table = record_table();
    check_bytes(
        wire::QueryContactsResponse { records: vec![record().into()], seen: 300, more: true },
        &format!(
            "
            0a db 03 // records
            {record_table}
            10 ac 02 // seen: 300
            18 01 // more
            "
        ),
    );
}

#[test]
fn requirements_call_and_its_answer() {
    let topic = envelope().topic.to_string();
    check_bytes(
        wire::GetRequirementsRequest { topic },
        r#"
            0a 48 "/xmtp/1/invite-eip155:1:0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f/proto" // topic
        "#,
    );
    check_bytes(
        wire::GetRequirementsResponse {
            network: Some(requirement("stamp(4)").into()),
            policy: vec![0x18; 32],
            times: 4,
            good_until_ns: now().as_nanos(),
        },
        "
            0a 04 // network
              1a 02 // stamp
                08 04 // at_least
            12 20 18*32 // policy
            18 04 // times
            20 8180a8b1e39fe7cb17 // good_until_ns: 1,700,000,000,000,000,001
        ",
    );
}

#[test]
fn key_bundle_call_and_its_answer() {
    check_bytes(
        wire::GetKeyBundleRequest { account: account().to_string() },
        r#"
            0a 33 "eip155:1:0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f" // account
        "#,
    );
    let record_table = record_table();
    check_bytes(
        wire::GetKeyBundleResponse { record: Some(record().into()) },
        &format!(
            "
            0a db 03 // record
            {record_table}
            "
        ),
    );
}

const STAMP_GROUP: wire::StampGroup = wire::StampGroup { denomination: 5, issue: 215 };

fn member_group() -> wire::MemberGroup {
    wire::MemberGroup { operator: vec![0x1a; 32], generation: 215 }
}

fn claim_group() -> wire::ClaimGroup {
    wire::ClaimGroup { id: vec![0x1c; 32], generation: 215 }
}

#[test]
fn roots_call_and_its_answer() {
    check_bytes(
        wire::GetRootsRequest { group: Some(wire::get_roots_request::Group::Stamps(STAMP_GROUP)) },
        "
            0a 05 // stamps
              08 05 // denomination
              10 d7 01 // issue: 215
        ",
    );
    check_bytes(
        wire::GetRootsRequest { group: Some(wire::get_roots_request::Group::Members(member_group())) },
        "
            12 25 // members
              0a 20 1a*32 // operator
              10 d7 01 // generation: 215
        ",
    );
    check_bytes(
        wire::GetRootsRequest { group: Some(wire::get_roots_request::Group::Claim(claim_group())) },
        "
            22 25 // claim
              0a 20 1c*32 // id
              10 d7 01 // generation: 215
        ",
    );
    let root = |volume, kind: wire::RootKind, byte, leaves, block| wire::VolumeRoot {
        volume,
        kind: kind.into(),
        root: vec![byte; 32],
        leaves,
        block,
    };
    let roots = vec![
        root(0, wire::RootKind::Checkpoint, 1, 2_097_152, 19_000_000),
        root(1, wire::RootKind::Fresh, 2, 3, 19_000_100),
    ];
    check_bytes(
        wire::GetRootsResponse { roots },
        "
            0a 2e // roots
              10 01 // kind
              1a 20 01*32 // root
              20 80808001 // leaves: 2,097,152
              28 c0d58709 // block: 19,000,000
            0a 2d // roots
              08 01 // volume
              10 02 // kind
              1a 20 02*32 // root
              20 03 // leaves
              28 a4d68709 // block: 19,000,100
        ",
    );
}

#[test]
fn bucket_call_and_its_answer() {
    let group = Some(wire::get_bucket_request::Group::Stamps(STAMP_GROUP));
    check_bytes(
        wire::GetBucketRequest { group, root: vec![1; 32], bucket: 511 },
        "
            0a 05 // stamps
              08 05 // denomination
              10 d7 01 // issue: 215
            12 20 01*32 // root
            18 ff 03 // bucket: 511
        ",
    );
    let group = Some(wire::get_bucket_request::Group::Members(member_group()));
    check_bytes(
        wire::GetBucketRequest { group, root: vec![1; 32], bucket: 0 },
        "
            22 25 // members
              0a 20 1a*32 // operator
              10 d7 01 // generation: 215
            12 20 01*32 // root
        ",
    );
    let group = Some(wire::get_bucket_request::Group::Claim(claim_group()));
    check_bytes(
        wire::GetBucketRequest { group, root: vec![1; 32], bucket: 0 },
        "
            32 25 // claim
              0a 20 1c*32 // id
              10 d7 01 // generation: 215
            12 20 01*32 // root
        ",
    );
    let top = [[1; 32], [2; 32]].concat();
    check_bytes(
        wire::GetBucketResponse { volume: 1, bucket: 511, top, leaves: vec![3; 32] },
        "
            08 01 // volume
            10 ff 03 // bucket: 511
            1a 40 // top
              0101010101010101010101010101010101010101010101010101010101010101
              0202020202020202020202020202020202020202020202020202020202020202
            22 20 03*32 // leaves
        ",
    );
}

#[test]
fn subscribe_call_and_its_events() {
    use wire::subscribe_response::Event;
    use wire::topic_filter::Filter;
    let prefix = wire::ConversationPrefix { bits: 9, prefix: vec![0x19; 32] };
    let filters = [Filter::Topic(envelope().topic.to_string()), Filter::Conversations(prefix)];
    check_bytes(
        wire::SubscribeRequest { filters: filters.map(|it| wire::TopicFilter { filter: Some(it) }).to_vec(), after: 7 },
        r#"
            0a 4a // filters
              0a 48 "/xmtp/1/invite-eip155:1:0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f/proto" // topic
            0a 26 // filters
              12 24 // conversations
                08 09 // bits
                12 20 19*32 // prefix
            10 07 // after
        "#,
    );
    let record_table = record_table();
    check_bytes(
        wire::SubscribeResponse { event: Some(Event::Record(record().into())) },
        &format!(
            "
            0a db 03 // record
            {record_table}
            "
        ),
    );
    check_bytes(
        wire::SubscribeResponse { event: Some(Event::Seen(300)) },
        "
            10 ac 02 // seen: 300
        ",
    );
}

#[test]
fn content_of_a_letter() {
    let text = wire::ContentType { authority: "xmtp.org".into(), name: "text".into(), major: 1, minor: 0 };
    check_bytes(
        wire::Content { r#type: Some(text), fallback: Some("Hello".into()), body: b"Hi".to_vec() },
        r#"
            0a 12 // type
              0a 08 "xmtp.org" // authority
              12 04 "text" // name
              18 01 // major
            1a 05 "Hello" // fallback
            22 02 4869 // body
        "#,
    );
}
