//! Strategies for property tests (feature `testing`): values as an honest peer makes them, within every limit.
//!
//! Signatures and proofs are random bytes: what is made here decodes, and does not verify.

use std::time::Duration;

use alloy_primitives::{Address, B256};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;

use crate::account::Account;
use crate::derive::{ClaimId, Denomination, Issue};
use crate::envelope::Envelope;
use crate::field::{Commitment, FieldElement, MODULUS};
use crate::key_bundle::{AttestedKeys, KeyBundle};
use crate::malformed::Malformed;
use crate::opening::{MAX_QUOTA, Opening};
use crate::pass::{Claim, Connection, Issuer, Member, Owner, Pass, Posting, Proof, Stake, Stamp};
use crate::policy::{Policy, SignedPolicy};
use crate::postmark::{Cursor, Postmark, SignedPostmark};
use crate::record::Record;
use crate::refusal::{AskedBy, Refusal};
use crate::requirement::{MAX_DEPTH, Requirement, Shown};
use crate::submission::{MAX_PASSES, Submission};
use crate::time::{Epoch, Timestamp};
use crate::topic::Topic;
use crate::vault::VaultRecord;

/// `N` bytes.
pub fn arb_bytes<const N: usize>() -> impl Strategy<Value = [u8; N]> {
    vec(any::<u8>(), N).prop_map(|bytes| {
        let mut array = [0; N];
        array.copy_from_slice(&bytes);
        array
    })
}

/// An element of the field, zero and the greatest one now and then.
pub fn arb_element() -> impl Strategy<Value = FieldElement> {
    prop_oneof![
        1 => Just(FieldElement::ZERO),
        1 => Just(element({ let mut greatest = MODULUS; greatest[31] -= 1; greatest })),
        // 0x1f…ff is below the modulus.
        8 => arb_bytes::<32>().prop_map(|mut bytes| { bytes[0] &= 0x1f; element(bytes) }),
    ]
}

/// A commitment: any element but zero.
pub fn arb_commitment() -> impl Strategy<Value = Commitment> {
    arb_element().prop_map(|it| Commitment::from(if it.is_zero() { FieldElement::from(1) } else { it }))
}

/// An account on any chain, the first one in half of the cases.
pub fn arb_account() -> impl Strategy<Value = Account> {
    (prop_oneof![Just(1), 1..=u64::MAX], arb_address())
        .prop_map(|(chain_id, address)| Account::on_chain(chain_id, address))
}

/// Any address.
pub fn arb_address() -> impl Strategy<Value = Address> {
    arb_bytes::<20>().prop_map(Address::from)
}

/// A topic of any kind.
pub fn arb_topic() -> impl Strategy<Value = Topic> {
    prop_oneof![
        arb_account().prop_map(Topic::Contact),
        arb_account().prop_map(Topic::Policy),
        arb_account().prop_map(Topic::Vault),
        arb_account().prop_map(Topic::Receipts),
        arb_account().prop_map(Topic::Invite),
        arb_word().prop_map(Topic::Conversation),
        arb_word().prop_map(Topic::Claim),
    ]
}

/// Any time.
pub fn arb_timestamp() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp::from_nanos)
}

/// An envelope of at most 300 bytes.
pub fn arb_envelope() -> impl Strategy<Value = Envelope> {
    (arb_topic(), arb_timestamp(), vec(any::<u8>(), 0..=300)).prop_map(|(topic, sent_at, ciphertext)| Envelope {
        topic,
        sent_at,
        ciphertext,
    })
}

/// A proof that proves nothing.
pub fn arb_proof() -> impl Strategy<Value = Proof> {
    (arb_element(), arb_element(), arb_element(), arb_element(), arb_bytes()).prop_map(
        |(root, nullifier, share, tag, points)| Proof {
            root: root.into(),
            nullifier: nullifier.into(),
            share: share.into(),
            tag: tag.into(),
            points,
        },
    )
}

/// A stamp that is sold.
pub fn arb_denomination() -> impl Strategy<Value = Denomination> {
    select(&Denomination::ALL[..])
}

/// A pass of any kind.
pub fn arb_pass() -> impl Strategy<Value = Pass> {
    let stamp = (arb_denomination(), any::<u32>(), arb_proof(), option::of(arb_element()));
    let epoch = || any::<u64>().prop_map(Epoch);
    let id = || arb_bytes::<32>();
    // The wire counts seconds.
    let expiry = (0..=u64::MAX / 1_000_000_000).prop_map(Timestamp::from_secs);
    prop_oneof![
        3 => stamp.prop_map(|(denomination, issue, proof, nonce)| {
            Pass::Stamp(Stamp { denomination, issue: Issue(issue), proof, nonce: nonce.map(Into::into) })
        }),
        1 => (any::<u32>(), epoch(), arb_proof()).prop_map(|(tier, epoch, proof)| Pass::Stake(Stake { tier, epoch, proof })),
        1 => (id(), any::<u32>(), epoch(), arb_proof()).prop_map(|(id, generation, epoch, proof)| {
            Pass::Claim(Claim { id: id.into(), generation, epoch, proof })
        }),
        1 => (id(), any::<u32>(), epoch(), arb_proof()).prop_map(|(operator, generation, epoch, proof)| {
            Pass::Member(Member { operator: operator.into(), generation, epoch, proof })
        }),
        1 => (arb_bytes(), any::<u32>(), expiry, arb_bytes(), arb_bytes()).prop_map(
            |(holder, quota, expires_at, attestation, signature)| {
                Pass::Connection(Connection { holder, quota, expires_at, attestation, signature })
            }
        ),
        1 => (arb_bytes(), arb_bytes()).prop_map(|(key, signature)| Pass::Posting(Posting { key, signature })),
        1 => arb_bytes().prop_map(|signature| Pass::Owner(Owner { signature })),
        1 => (arb_address(), arb_bytes()).prop_map(|(issuer, signature)| Pass::Issuer(Issuer { issuer, signature })),
    ]
}

/// An envelope with as many passes as it may carry, or fewer.
pub fn arb_submission() -> impl Strategy<Value = Submission> {
    (arb_envelope(), vec(arb_pass(), 0..=MAX_PASSES)).prop_filter_map("repeats a nullifier", |(envelope, passes)| {
        match Submission::new(envelope.clone(), passes.clone()) {
            Err(Malformed::TooLarge { .. }) => {
                let others = passes.into_iter().filter(|pass| !matches!(pass, Pass::Stamp(_))).collect();
                Submission::new(envelope, others).ok()
            }
            submission => submission.ok(),
        }
    })
}

/// Any expression of at most `depth` levels, within the other limits or not.
pub fn arb_expression(depth: u32) -> impl Strategy<Value = Requirement> {
    let units = prop_oneof![1 => Just(0), 9 => 1..=600_u32, 3 => any::<u32>()];
    let leaf = prop_oneof![
        (units, any::<bool>()).prop_map(|(at_least, tagged)| Requirement::Stamp { at_least, tagged }),
        option::of(0..3_u32).prop_map(Requirement::Stake),
        option::of(arb_claim_id()).prop_map(Requirement::Claim),
        Just(Requirement::Member),
        Just(Requirement::Connection),
    ];
    leaf.prop_recursive(depth.saturating_sub(1), 96, 6, |part| {
        prop_oneof![
            vec(part.clone(), 0..=6).prop_map(Requirement::AnyOf),
            vec(part, 0..=6).prop_map(Requirement::AllOf),
        ]
    })
}

/// A requirement within its limits: as people write them, or as deep as they may be.
pub fn arb_requirement() -> impl Strategy<Value = Requirement> {
    let depth = u32::try_from(MAX_DEPTH).unwrap_or(u32::MAX);
    prop_oneof![arb_expression(2), arb_expression(3), arb_expression(depth)]
        .prop_filter("breaks a limit", |it| it.validate().is_ok())
}

/// What a pass shows, of few claims, tiers and senders, so that requirements are met now and then.
pub fn arb_shown() -> impl Strategy<Value = Shown> {
    prop_oneof![
        3 => (arb_denomination(), any::<bool>()).prop_map(|(denomination, tagged)| Shown::Stamp { denomination, tagged }),
        1 => (0..3_u32).prop_map(|tier| Shown::Stake { tier }),
        3 => (arb_claim_id(), 1..=3_u64)
            .prop_map(|(id, sender)| Shown::Claim { id, tag: FieldElement::from(sender).into() }),
        1 => Just(Shown::Member),
        1 => Just(Shown::Connection),
    ]
}

/// One of three claims.
pub fn arb_claim_id() -> impl Strategy<Value = ClaimId> {
    (1..=3_u8).prop_map(|it| ClaimId::from([it; 32]))
}

/// A policy.
pub fn arb_policy() -> impl Strategy<Value = Policy> {
    (arb_account(), 1..=u64::MAX, arb_requirement(), vec(arb_element(), 0..=20), vec(arb_word(), 0..=20)).prop_map(
        |(account, version, requirement, blocked, revoked_attestations)| Policy {
            account,
            version,
            requirement,
            blocked_tags: blocked.into_iter().map(Into::into).collect(),
            revoked_attestations,
        },
    )
}

/// A policy under a signature that holds for nobody.
pub fn arb_signed_policy() -> impl Strategy<Value = SignedPolicy> {
    (arb_policy(), arb_word(), arb_bytes::<64>()).prop_filter_map("too large", |(policy, network, signature)| {
        SignedPolicy::new(network.0.into(), policy, |_| signature).ok()
    })
}

/// A key bundle under signatures that hold for nobody.
pub fn arb_key_bundle() -> impl Strategy<Value = KeyBundle> {
    let keys =
        (arb_account(), 1..=u32::MAX, arb_bytes(), arb_bytes(), any::<u32>(), arb_commitment(), arb_commitment())
            .prop_map(
                |(account, revision, identity_key, agreement_key, generation, claim_commitment, member_commitment)| {
                    AttestedKeys {
                        account,
                        revision,
                        identity_key,
                        agreement_key,
                        generation,
                        claim_commitment,
                        member_commitment,
                    }
                },
            );
    (keys, arb_bytes(), 1..=u32::MAX, arb_bytes(), arb_bytes()).prop_map(
        |(keys, wallet_signature, version, prekey, signature)| KeyBundle {
            keys,
            wallet_signature,
            version,
            prekey,
            signature,
        },
    )
}

/// A vault record of at most 300 sealed bytes.
pub fn arb_vault() -> impl Strategy<Value = VaultRecord> {
    (1..=u64::MAX, arb_bytes(), arb_bytes(), vec(any::<u8>(), 0..=300))
        .prop_map(|(version, salt, nonce, sealed)| VaultRecord { version, salt, nonce, sealed })
}

/// An opening under a signature that holds for nobody.
pub fn arb_opening() -> impl Strategy<Value = Opening> {
    (arb_bytes(), 1..=MAX_QUOTA, 0..=u64::MAX / 1_000_000_000, arb_bytes::<64>()).prop_filter_map(
        "never: the quota is in range",
        |(key, quota, expiry, signature)| {
            Opening::new([0; 32].into(), key, quota, Timestamp::from_secs(expiry), |_| signature).ok()
        },
    )
}

/// A postmark under a signature that holds for nobody.
pub fn arb_postmark() -> impl Strategy<Value = SignedPostmark> {
    (arb_word(), arb_address(), any::<u64>(), arb_word(), arb_timestamp(), arb_word(), arb_bytes()).prop_map(
        |(network, operator, cursor, envelope, accepted_at, cancelled, signature)| SignedPostmark {
            postmark: Postmark {
                network: network.0.into(),
                operator,
                cursor: Cursor(cursor),
                envelope: envelope.0.into(),
                accepted_at,
                cancelled,
            },
            signature,
        },
    )
}

/// An entry of a log.
pub fn arb_record() -> impl Strategy<Value = Record> {
    (arb_submission(), arb_postmark()).prop_map(|(submission, postmark)| Record { submission, postmark })
}

/// A refusal of any code.
pub fn arb_refusal() -> impl Strategy<Value = Refusal> {
    // The wire counts milliseconds.
    let retry_after = || any::<u64>().prop_map(Duration::from_millis);
    let asked_by = select(&[AskedBy::Network, AskedBy::Account][..]);
    prop_oneof![
        (arb_requirement(), asked_by).prop_map(|(unmet, asked_by)| Refusal::RequirementUnmet { unmet, asked_by }),
        arb_element().prop_map(|it| Refusal::NullifierUsed { nullifier: it.into() }),
        Just(Refusal::RootUnknown),
        Just(Refusal::RootExpired),
        Just(Refusal::ProofInvalid),
        Just(Refusal::EpochWrong),
        Just(Refusal::SecretClosed),
        Just(Refusal::TagBlocked),
        Just(Refusal::QuotaExhausted),
        Just(Refusal::AlreadyOpen),
        Just(Refusal::NotOwner),
        arb_text().prop_map(|what| Refusal::NotOffered { what }),
        Just(Refusal::NoSuchInbox),
        Just(Refusal::VersionStale),
        any::<u64>().prop_map(|head| Refusal::HeadMoved { head: Cursor(head) }),
        arb_timestamp().prop_map(|now| Refusal::TimeOutOfRange { now }),
        retry_after().prop_map(|retry_after| Refusal::ChainViewStale { retry_after }),
        retry_after().prop_map(|retry_after| Refusal::Overloaded { retry_after }),
        arb_text().prop_map(|reason| Refusal::Malformed { reason }),
    ]
}

fn arb_word() -> impl Strategy<Value = B256> {
    arb_bytes::<32>().prop_map(B256::from)
}

fn arb_text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..=40).prop_map(|it| it.into_iter().collect())
}

fn element(bytes: [u8; 32]) -> FieldElement {
    FieldElement::from_be_bytes(bytes).unwrap_or_default()
}
