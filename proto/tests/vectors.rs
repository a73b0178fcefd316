//! Derived values against `testdata/vectors/derived.json`, which the contracts' tests read too.
#![allow(clippy::unwrap_used)] // A test may.

use alloy_primitives::{Address, U256, hex};
use serde_json::Value;
use xmtp_proto::claim::{Condition, Terms};
use xmtp_proto::derive::{
    ClaimId, Denomination, EnvelopeId, Group, GroupId, Issue, NetworkId, OperatorId, Purpose, cancelled_hash,
    conversation_topic, scope,
};
use xmtp_proto::field::Nullifier;
use xmtp_proto::time::{Epoch, Timestamp};
use xmtp_proto::topic::Topic;

fn rows(name: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../../testdata/vectors/derived.json")).unwrap();
    let rows = all[name].as_array().unwrap().clone();
    assert!(!rows.is_empty(), "no vectors for {name}");
    rows
}

fn bytes(row: &Value, field: &str) -> Vec<u8> {
    hex::decode(row[field].as_str().unwrap()).unwrap()
}

fn fixed<const N: usize>(row: &Value, field: &str) -> [u8; N] {
    bytes(row, field).try_into().unwrap()
}

fn number(row: &Value, field: &str) -> u32 {
    row[field].as_u64().unwrap().try_into().unwrap()
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap()
}

fn network(row: &Value) -> NetworkId {
    fixed::<32>(row, "network_id").into()
}

#[test]
fn network_id() {
    for row in rows("network_id") {
        let id = NetworkId::new(text(&row, "chain_id").parse().unwrap(), fixed::<20>(&row, "postage").into());
        assert_eq!(id, network(&row));
    }
}

#[test]
fn operator_id() {
    for row in rows("operator_id") {
        assert_eq!(OperatorId::new(fixed::<20>(&row, "signer").into()).0, fixed::<32>(&row, "operator_id"));
    }
}

#[test]
fn group_id() {
    for row in rows("group_id") {
        let source = fixed::<32>(&row, "source");
        let address = Address::from_slice(&source[12..]);
        let (class, issue) = (number(&row, "class"), number(&row, "issue"));
        let group = match number(&row, "kind") {
            1 => Group::Stamps { denomination: Denomination::try_from(class).unwrap(), issue: Issue(issue) },
            2 => Group::Stake { contract: address, tier: class },
            3 => Group::Claim { id: ClaimId::from(source), generation: issue },
            4 => Group::Members { operator: OperatorId::from(source), generation: issue },
            kind => panic!("kind {kind}"),
        };
        assert_eq!(group.id(network(&row), address), GroupId::from(fixed::<32>(&row, "group_id")));
    }
}

#[test]
fn claim_id() {
    let word = |row: &Value, field| U256::from_be_bytes(fixed::<32>(row, field));
    let addresses = |row: &Value, field: &str| -> Vec<Address> {
        row[field].as_array().unwrap().iter().map(|it| it.as_str().unwrap().parse().unwrap()).collect()
    };
    for row in rows("claim_id") {
        let subject = Address::from(fixed::<20>(&row, "subject"));
        let (token_id, amount) = (word(&row, "token_id"), word(&row, "amount"));
        let condition = match number(&row, "kind") {
            1 => Condition::Erc721 { collection: subject },
            2 => Condition::Erc721Token { collection: subject, token_id },
            3 => Condition::Erc1155 { contract: subject, token_id, amount },
            4 => Condition::Erc20 { token: subject, amount },
            5 => Condition::Native { amount },
            6 => Condition::Counterparty { account: subject, tokens: addresses(&row, "tokens") },
            7 => Condition::Active { before_secs: text(&row, "before").parse().unwrap() },
            kind => panic!("kind {kind}"),
        };
        let terms = Terms {
            chain_id: text(&row, "chain_id").parse().unwrap(),
            condition,
            issuers: addresses(&row, "issuers"),
            threshold: number(&row, "threshold").try_into().unwrap(),
            limit: number(&row, "limit"),
        };
        assert_eq!(terms.id(network(&row)), ClaimId::from(fixed::<32>(&row, "claim_id")));
    }
}

#[test]
fn external_nullifier() {
    for row in rows("external_nullifier") {
        let purpose = if number(&row, "purpose") == 0 { Purpose::Envelope } else { Purpose::Opening };
        let epoch = Some(Epoch(number(&row, "epoch").into()));
        let group = GroupId::from(fixed::<32>(&row, "group_id"));
        assert_eq!(*group.external_nullifier(purpose, epoch).as_bytes(), fixed::<32>(&row, "external_nullifier"));
    }
}

#[test]
fn scope_of_topic() {
    for row in rows("scope") {
        let topic: Topic = text(&row, "topic").parse().unwrap();
        assert_eq!(*scope(network(&row), &topic).as_bytes(), fixed::<32>(&row, "scope"));
    }
}

#[test]
fn envelope_digest() {
    for row in rows("envelope_digest") {
        let topic: Topic = text(&row, "topic").parse().unwrap();
        let sent_at = Timestamp::from_nanos(text(&row, "sent_at_ns").parse().unwrap());
        let id = EnvelopeId::new(network(&row), &topic, sent_at, &bytes(&row, "ciphertext"));
        assert_eq!(id, EnvelopeId::from(fixed::<32>(&row, "digest")));
    }
}

#[test]
fn signal() {
    for row in rows("signal") {
        let signal = EnvelopeId::from(fixed::<32>(&row, "digest")).signal();
        assert_eq!(*signal.as_bytes(), fixed::<32>(&row, "x"));
    }
}

#[test]
fn conversation_id() {
    for row in rows("conversation_id") {
        let id = fixed::<32>(&row, "id").into();
        assert_eq!(conversation_topic(&fixed::<32>(&row, "posting_key")), Topic::Conversation(id));
    }
}

#[test]
fn cancelled() {
    for row in rows("cancelled") {
        let nullifiers: Vec<Nullifier> = row["nullifiers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| Nullifier::from_be_bytes(hex::decode(it.as_str().unwrap()).unwrap().try_into().unwrap()).unwrap())
            .collect();
        assert_eq!(cancelled_hash(&nullifiers), fixed::<32>(&row, "hash"));
    }
}
