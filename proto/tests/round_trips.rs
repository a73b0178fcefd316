//! What is sent arrives, whatever it is; what arrives from anybody at all makes no decoder panic.
#![allow(clippy::unwrap_used)] // A test may.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use prost::Message;
use xmtp_proto::account::Account;
use xmtp_proto::derive::NetworkId;
use xmtp_proto::envelope::{Envelope, MAX_CIPHERTEXT_BYTES};
use xmtp_proto::field::FieldElement;
use xmtp_proto::key_bundle::KeyBundle;
use xmtp_proto::malformed::Malformed;
use xmtp_proto::opening::{self, Opening};
use xmtp_proto::pass::{Claim, Pass, Posting, Proof, Stake, Stamp};
use xmtp_proto::policy::{MAX_BLOCKED_TAGS, Policy, SignedPolicy};
use xmtp_proto::postmark::SignedPostmark;
use xmtp_proto::record::{self, Record};
use xmtp_proto::refusal::{Code, Refusal};
use xmtp_proto::requirement::{Requirement, Shown};
use xmtp_proto::submission::Submission;
use xmtp_proto::testing::*;
use xmtp_proto::time::{Epoch, Timestamp};
use xmtp_proto::topic::{MAX_NAME_BYTES, Topic};
use xmtp_proto::vault::VaultRecord;
use xmtp_proto::wire;

/// Domain to wire to bytes, and all the way back.
fn check_round_trip<Wire, Domain>(it: &Domain)
where
    Wire: From<Domain> + Message + Default + PartialEq,
    Domain: TryFrom<Wire, Error = Malformed> + Clone + Debug + PartialEq,
{
    let bytes = Wire::from(it.clone()).encode_to_vec();
    let wire = Wire::decode(bytes.as_slice()).unwrap();
    assert_eq!(wire.encode_to_vec(), bytes, "the decoder lost something");
    assert_eq!(Domain::try_from(wire).as_ref(), Ok(it));
}

/// Whatever a conversion takes it keeps: the wire form made from the result says the same.
fn check_nothing_is_lost<Wire, Domain>(bytes: &[u8])
where
    Wire: From<Domain> + Message + Default + Clone + Debug + PartialEq,
    Domain: TryFrom<Wire, Error = Malformed>,
{
    let Ok(wire) = Wire::decode(bytes) else { return };
    let Ok(domain) = Domain::try_from(wire.clone()) else { return };
    assert_eq!(Wire::from(domain), wire);
}

fn check_every_decoder(bytes: &[u8]) {
    check_nothing_is_lost::<wire::Envelope, Envelope>(bytes);
    check_nothing_is_lost::<wire::Pass, Pass>(bytes);
    check_nothing_is_lost::<wire::Submission, Submission>(bytes);
    check_nothing_is_lost::<wire::Postmark, SignedPostmark>(bytes);
    check_nothing_is_lost::<wire::Record, Record>(bytes);
    check_nothing_is_lost::<wire::KeyBundle, KeyBundle>(bytes);
    check_nothing_is_lost::<wire::VaultRecord, VaultRecord>(bytes);
    check_nothing_is_lost::<wire::Policy, Policy>(bytes);
    check_nothing_is_lost::<wire::Requirement, Requirement>(bytes);
    if let Ok(wire) = wire::Refusal::decode(bytes)
        && let Ok(refusal) = Refusal::try_from(wire)
    {
        check_round_trip::<wire::Refusal, _>(&refusal);
    }
    if let Ok(it) = KeyBundle::from_bytes(bytes) {
        assert_eq!(KeyBundle::from_bytes(&it.to_bytes()), Ok(it));
        let _ = it.verify(NetworkId::from([1; 32]));
    }
    if let Ok(it) = VaultRecord::from_bytes(bytes) {
        assert_eq!(VaultRecord::from_bytes(&it.to_bytes()), Ok(it));
    }
    if let Ok(it) = Opening::from_bytes(bytes) {
        assert_eq!(it.to_bytes().as_slice(), bytes);
        let _ = it.verify(NetworkId::from([1; 32]));
    }
    if let Ok(it) = Record::from_bytes(bytes) {
        assert_eq!(Record::from_bytes(&it.clone().to_bytes()), Ok(it));
    }
    if let Ok(it) = SignedPolicy::from_bytes(bytes) {
        let again = SignedPolicy::from_bytes(&it.to_bytes()).unwrap();
        assert_eq!(again, it);
        assert_eq!(again.digest(NetworkId::from([1; 32])), it.digest(NetworkId::from([1; 32])));
    }
}

/// The bytes of an honest message of any kind.
fn arb_message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        arb_submission().prop_map(|it| wire::Submission::from(it).encode_to_vec()),
        arb_record().prop_map(Record::to_bytes),
        arb_key_bundle().prop_map(|it| it.to_bytes()),
        arb_vault().prop_map(|it| it.to_bytes()),
        arb_opening().prop_map(|it| it.to_bytes().to_vec()),
        arb_signed_policy().prop_map(|it| it.to_bytes()),
        arb_requirement().prop_map(|it| wire::Requirement::from(it).encode_to_vec()),
        arb_refusal().prop_map(|it| wire::Refusal::from(it).encode_to_vec()),
    ]
}

/// What may happen to a message on its way.
#[derive(Clone, Debug)]
enum Mutation {
    Flip(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Cut(Index),
    Repeat(Index, Index),
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Flip(at, bits) => {
                let at = at.index(bytes.len());
                bytes[at] ^= bits;
            }
            Self::Insert(at, byte) => bytes.insert(at.index(bytes.len()), *byte),
            Self::Remove(at) => {
                bytes.remove(at.index(bytes.len()));
            }
            Self::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Self::Repeat(from, to) => {
                let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
                let part = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.splice(to..to, part);
            }
        }
    }
}

fn arb_mutation() -> impl Strategy<Value = Mutation> {
    let at = || any::<Index>();
    prop_oneof![
        4 => (at(), 1..=u8::MAX).prop_map(|(at, bits)| Mutation::Flip(at, bits)),
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        2 => at().prop_map(Mutation::Remove),
        1 => at().prop_map(Mutation::Cut),
        1 => (at(), at()).prop_map(|(from, to)| Mutation::Repeat(from, to)),
    ]
}

proptest! {
    #[test]
    fn envelope_arrives(it in arb_envelope()) {
        check_round_trip::<wire::Envelope, _>(&it);
    }

    #[test]
    fn pass_arrives(it in arb_pass()) {
        check_round_trip::<wire::Pass, _>(&it);
    }

    #[test]
    fn proof_arrives(it in arb_proof()) {
        check_round_trip::<wire::Proof, Proof>(&it);
    }

    #[test]
    fn submission_arrives(it in arb_submission()) {
        check_round_trip::<wire::Submission, _>(&it);
    }

    #[test]
    fn postmark_arrives(it in arb_postmark()) {
        check_round_trip::<wire::Postmark, _>(&it);
    }

    #[test]
    fn record_arrives(it in arb_record()) {
        check_round_trip::<wire::Record, _>(&it);
        prop_assert_eq!(Record::from_bytes(&it.clone().to_bytes()), Ok(it));
    }

    #[test]
    fn key_bundle_arrives(it in arb_key_bundle()) {
        check_round_trip::<wire::KeyBundle, _>(&it);
        prop_assert_eq!(KeyBundle::from_bytes(&it.to_bytes()), Ok(it));
    }

    #[test]
    fn vault_record_arrives(it in arb_vault()) {
        check_round_trip::<wire::VaultRecord, _>(&it);
        prop_assert_eq!(VaultRecord::from_bytes(&it.to_bytes()), Ok(it));
    }

    #[test]
    fn policy_arrives(it in arb_policy()) {
        check_round_trip::<wire::Policy, _>(&it);
    }

    #[test]
    fn signed_policy_arrives_in_the_bytes_that_were_signed(it in arb_signed_policy()) {
        prop_assert_eq!(SignedPolicy::from_bytes(&it.to_bytes()), Ok(it));
    }

    #[test]
    fn requirement_arrives(it in arb_requirement()) {
        check_round_trip::<wire::Requirement, _>(&it);
    }

    #[test]
    fn refusal_arrives(it in arb_refusal()) {
        check_round_trip::<wire::Refusal, _>(&it);
        prop_assert_eq!(Code::from_name(it.code().as_str()), Some(it.code()));
    }

    #[test]
    fn account_reads_as_it_is_written(it in arb_account()) {
        prop_assert_eq!(Account::from_canonical(&it.to_string()), Ok(it));
        let checksummed = format!("eip155:{}:{}", it.chain_id(), it.address());
        prop_assert_eq!(checksummed.parse(), Ok(it));
    }

    #[test]
    fn topic_reads_as_it_is_written(it in arb_topic()) {
        let name = it.to_string();
        prop_assert!(name.len() <= MAX_NAME_BYTES);
        prop_assert_eq!(name.parse::<Topic>(), Ok(it));
    }

    #[test]
    fn no_other_text_reads_as_the_same_topic(it in arb_topic(), mutations in vec(arb_mutation(), 1..=3)) {
        let name = it.to_string();
        let mut other = name.clone().into_bytes();
        mutations.iter().for_each(|mutation| mutation.apply(&mut other));
        if let Ok(other) = String::from_utf8(other) && other != name {
            prop_assert_ne!(other.parse::<Topic>(), Ok(it));
        }
    }

    #[test]
    fn requirement_reads_as_it_is_written(it in arb_requirement()) {
        prop_assert_eq!(it.to_string().parse::<Requirement>(), Ok(it));
    }

    #[test]
    fn field_element_is_read_exactly_if_it_is_below_the_modulus(bytes in arb_bytes::<32>()) {
        let below = alloy_primitives::U256::from_be_bytes(bytes)
            < alloy_primitives::U256::from_be_bytes(xmtp_proto::field::MODULUS);
        prop_assert_eq!(FieldElement::from_be_bytes(bytes).is_ok(), below);
    }
}

// What comes from strangers.
proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn random_bytes_make_no_decoder_panic(bytes in vec(any::<u8>(), 0..=600)) {
        check_every_decoder(&bytes);
    }

    #[test]
    fn damaged_messages_make_no_decoder_panic(
        mut bytes in arb_message(),
        mutations in vec(arb_mutation(), 1..=4),
    ) {
        mutations.iter().for_each(|mutation| mutation.apply(&mut bytes));
        check_every_decoder(&bytes);
    }

    #[test]
    fn random_text_makes_no_reader_panic(text in ".{0,80}") {
        if let Ok(it) = text.parse::<Account>() { prop_assert_eq!(it.to_string().parse(), Ok(it)) }
        if let Ok(it) = text.parse::<Topic>() { prop_assert_eq!(it.to_string(), text.clone()) }
        if let Ok(it) = text.parse::<Requirement>() { prop_assert_eq!(it.to_string().parse(), Ok(it)) }
    }

    #[test]
    fn damaged_text_makes_no_reader_panic(it in arb_requirement(), mutations in vec(arb_mutation(), 1..=4)) {
        let mut bytes = it.to_string().into_bytes();
        mutations.iter().for_each(|mutation| mutation.apply(&mut bytes));
        if let Ok(it) = String::from_utf8_lossy(&bytes).parse::<Requirement>() {
            prop_assert_eq!(it.to_string().parse::<Requirement>(), Ok(it));
        }
    }
}

// What holds of every requirement.
proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn more_passes_never_meet_less(
        it in arb_requirement(),
        shown in vec(arb_shown(), 0..=6),
        more in vec(arb_shown(), 0..=3),
    ) {
        let all = [shown.clone(), more].concat();
        prop_assert!(!it.is_met_by(&shown) || it.is_met_by(&all));
    }

    #[test]
    fn order_of_passes_does_not_matter(it in arb_requirement(), (shown, shuffled) in arb_shuffled()) {
        prop_assert_eq!(it.is_met_by(&shown), it.is_met_by(&shuffled));
    }

    #[test]
    fn what_is_met_is_met_by_the_claims_of_one_sender(
        it in prop_oneof![arb_requirement(), arb_claims()],
        shown in vec(arb_shown(), 0..=6),
    ) {
        let of = |sender: u64| -> Vec<Shown> {
            let tag = FieldElement::from(sender).into();
            let by_another = |it: &Shown| matches!(it, Shown::Claim { tag: of, .. } if *of != tag);
            shown.iter().filter(|it| !by_another(it)).copied().collect()
        };
        prop_assert_eq!(it.is_met_by(&shown), (1..=3).any(|sender| it.is_met_by(&of(sender))));
    }

    #[test]
    fn passes_that_it_does_not_mention_change_nothing(it in arb_requirement(), shown in vec(arb_shown(), 0..=6)) {
        let text = it.to_string();
        let mentions = |word: &str| text.contains(word);
        let mentioned: Vec<_> = shown
            .iter()
            .filter(|it| match it {
                Shown::Stamp { .. } => mentions("stamp("),
                Shown::Stake { .. } => mentions("stake("),
                Shown::Claim { .. } => mentions("claim("),
                Shown::Member => mentions("member"),
                Shown::Connection => mentions("connection"),
            })
            .copied()
            .collect();
        prop_assert_eq!(it.is_met_by(&shown), it.is_met_by(&mentioned));
    }

    #[test]
    fn one_part_alone_is_that_part(it in arb_requirement(), shown in vec(arb_shown(), 0..=6)) {
        let met = it.is_met_by(&shown);
        prop_assert_eq!(Requirement::AnyOf(vec![it.clone()]).is_met_by(&shown), met);
        prop_assert_eq!(Requirement::AllOf(vec![it]).is_met_by(&shown), met);
    }

    #[test]
    fn parts_are_met_alone_or_together(
        parts in vec(arb_requirement(), 0..=3),
        shown in vec(arb_shown(), 0..=6),
    ) {
        let met: Vec<bool> = parts.iter().map(|it| it.is_met_by(&shown)).collect();
        prop_assert_eq!(Requirement::AnyOf(parts.clone()).is_met_by(&shown), met.contains(&true));
        // Not the other way round: claims of two senders are not one sender.
        prop_assert!(!Requirement::AllOf(parts).is_met_by(&shown) || !met.contains(&false));
    }

    #[test]
    fn one_unit_asks_for_what_is_written(it in arb_requirement()) {
        prop_assert_eq!(it.for_units(1), it);
    }

    #[test]
    fn more_units_never_ask_for_less(
        it in arb_requirement(),
        shown in vec(arb_shown(), 0..=6),
        (fewer, more) in (1..=300_u32, 0..=300_u32),
    ) {
        prop_assert!(!it.for_units(fewer + more).is_met_by(&shown) || it.for_units(fewer).is_met_by(&shown));
        prop_assert_eq!(it.for_units(fewer).for_units(more.max(1)), it.for_units(fewer * more.max(1)));
    }

    #[test]
    fn text_wire_and_values_have_the_same_limits(it in arb_expression(10)) {
        let valid = it.validate().is_ok();
        prop_assert_eq!(it.to_string().parse::<Requirement>().is_ok(), valid);
        prop_assert_eq!(Requirement::try_from(wire::Requirement::from(it)).is_ok(), valid);
    }
}

/// Some of three claims, all of them asked for.
fn arb_claims() -> impl Strategy<Value = Requirement> {
    vec(arb_claim_id().prop_map(|id| Requirement::Claim(Some(id))), 1..=3).prop_map(Requirement::AllOf)
}

fn arb_shuffled() -> impl Strategy<Value = (Vec<Shown>, Vec<Shown>)> {
    vec(arb_shown(), 0..=6).prop_flat_map(|shown| (Just(shown.clone()), Just(shown).prop_shuffle()))
}

#[test]
fn laws_are_tried_on_both_verdicts() {
    // A law of the form "if it is met …" says nothing where nothing is ever met.
    let mut runner = TestRunner::deterministic();
    let strategy = (arb_requirement(), vec(arb_shown(), 0..=6));
    let tries = (0..1000).map(|_| strategy.new_tree(&mut runner).unwrap().current());
    let met = tries.filter(|(it, shown)| it.is_met_by(shown)).count();
    assert!((200..=800).contains(&met), "{met} of 1000 are met");
}

proptest! {
    #[test]
    fn longer_letters_cost_no_less(topic in arb_topic(), (bytes, more) in (0..100_000_usize, 0..10_000_usize)) {
        let units = |bytes| Envelope { topic, sent_at: Timestamp::default(), ciphertext: vec![0; bytes] }.units();
        prop_assert!((1..=units(bytes + more)).contains(&units(bytes)));
    }

    #[test]
    fn pass_of_today_counts_and_at_most_two_days_do(now in arb_timestamp()) {
        let Epoch(today) = now.epoch();
        prop_assert!(Epoch(today).counts_at(now));
        let days = (today.saturating_sub(2)..=today + 2).filter(|day| Epoch(*day).counts_at(now)).count();
        prop_assert!((1..=2).contains(&days));
    }
}

#[test]
fn every_code_arrives() {
    let mut runner = TestRunner::deterministic();
    let mut missing = Code::ALL.to_vec();
    for _ in 0..2000 {
        let it = arb_refusal().new_tree(&mut runner).unwrap().current();
        missing.retain(|code| *code != it.code());
        check_round_trip::<wire::Refusal, _>(&it);
    }
    assert_eq!(missing, []);
}

#[test]
fn largest_record_is_within_the_limit_of_records() {
    let account = Account::on_chain(u64::MAX, Default::default());
    let envelope = Envelope {
        topic: Topic::Contact(account),
        sent_at: Timestamp::from_nanos(u64::MAX),
        ciphertext: vec![0xff; MAX_CIPHERTEXT_BYTES],
    };
    let proof = |nullifier: u64| Proof {
        root: FieldElement::from(1).into(),
        nullifier: FieldElement::from(nullifier).into(),
        share: FieldElement::from(1).into(),
        tag: FieldElement::from(1).into(),
        points: [0xff; 128],
    };
    let claim = |nullifier| {
        let (id, epoch) = ([0xff; 32].into(), Epoch(u64::MAX));
        Pass::Claim(Claim { id, generation: u32::MAX, epoch, proof: proof(nullifier) })
    };
    let submission = Submission::new(envelope, (1..=8).map(claim).collect()).unwrap();
    let bytes = Record { submission, postmark: sample(arb_postmark()) }.to_bytes();
    assert!(bytes.len() <= record::MAX_BYTES);
    assert!(Record::from_bytes(&bytes).is_ok());

    let too_long = vec![0; record::MAX_BYTES + 1];
    let expected = Malformed::TooLarge { field: "record", max: record::MAX_BYTES, got: too_long.len() };
    assert_eq!(Record::from_bytes(&too_long), Err(expected));
}

/// A wire message changed in one place, and what the conversion says to it.
fn check_refused<Wire, Domain>(good: &Domain, change: impl FnOnce(&mut Wire), expected: Malformed)
where
    Wire: From<Domain> + Message + Default,
    Domain: TryFrom<Wire, Error = Malformed> + Clone + Debug + PartialEq,
{
    let mut wire = Wire::from(good.clone());
    change(&mut wire);
    assert_eq!(Domain::try_from(wire), Err(expected));
}

fn sample<Value: Debug>(strategy: impl Strategy<Value = Value>) -> Value {
    strategy.new_tree(&mut TestRunner::deterministic()).unwrap().current()
}

#[test]
fn regression_expiry_beyond_the_last_second_of_a_timestamp_was_stored_as_another_one() {
    let expiring = |expires_at_s| {
        let connection = wire::Connection {
            holder: vec![1; 32],
            quota: 1,
            expires_at_s,
            attestation: vec![2; 64],
            signature: vec![3; 64],
        };
        Pass::try_from(wire::Pass { pass: Some(wire::pass::Pass::Connection(connection)) })
    };
    let last = u64::MAX / 1_000_000_000;
    assert!(expiring(last).is_ok());
    for beyond in [last + 1, u64::MAX] {
        let expected = Malformed::OutOfRange { field: "connection.expires_at_s", got: beyond };
        assert_eq!(expiring(beyond), Err(expected));
    }
}

#[test]
fn openings_have_their_length_quota_and_seconds() {
    let good = sample(arb_opening()).to_bytes();
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = good;
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        Opening::from_bytes(&changed)
    };
    let out_of_range = |field, got| Err(Malformed::OutOfRange { field, got });
    for (length, bytes) in [(107, good[..107].to_vec()), (109, [good.as_slice(), &[0]].concat())] {
        let expected = Malformed::Length { field: "opening", expected: opening::BYTES, got: length };
        assert_eq!(Opening::from_bytes(&bytes), Err(expected));
    }
    for quota in [1, opening::MAX_QUOTA] {
        assert_eq!(with(32, &quota.to_be_bytes()).map(|it| it.quota()), Ok(quota));
    }
    for quota in [0, opening::MAX_QUOTA + 1, u32::MAX] {
        assert_eq!(with(32, &quota.to_be_bytes()), out_of_range("opening.quota", quota.into()));
    }
    let last = u64::MAX / 1_000_000_000;
    assert!(with(36, &last.to_be_bytes()).is_ok());
    assert_eq!(with(36, &(last + 1).to_be_bytes()), out_of_range("opening.expiry", last + 1));
}

#[test]
fn numbers_that_count_from_one_are_not_zero() {
    let zero = |field| Malformed::OutOfRange { field, got: 0 };
    let bundle = sample(arb_key_bundle());
    check_refused(&bundle, |it: &mut wire::KeyBundle| it.version = 0, zero("version"));
    check_refused(&bundle, |it: &mut wire::KeyBundle| it.revision = 0, zero("revision"));
    check_refused(&bundle, |it: &mut wire::KeyBundle| it.claim_commitment = vec![0; 32], zero("claim_commitment"));
    check_refused(&bundle, |it: &mut wire::KeyBundle| it.member_commitment = vec![0; 32], zero("member_commitment"));
    check_refused(&sample(arb_vault()), |it: &mut wire::VaultRecord| it.version = 0, zero("version"));
    check_refused(&sample(arb_policy()), |it: &mut wire::Policy| it.version = 0, zero("version"));
}

#[test]
fn field_elements_have_one_encoding() {
    let modulus = || xmtp_proto::field::MODULUS.to_vec();
    let not_canonical = |field| Malformed::NotCanonical { field };
    let proof = sample(arb_proof());
    check_refused(&proof, |it: &mut wire::Proof| it.root = modulus(), not_canonical("proof.root"));
    check_refused(&proof, |it: &mut wire::Proof| it.nullifier = modulus(), not_canonical("proof.nullifier"));
    check_refused(&proof, |it: &mut wire::Proof| it.share = modulus(), not_canonical("proof.share"));
    check_refused(&proof, |it: &mut wire::Proof| it.tag = modulus(), not_canonical("proof.tag"));
    let bundle = sample(arb_key_bundle());
    check_refused(
        &bundle,
        |it: &mut wire::KeyBundle| it.claim_commitment = modulus(),
        not_canonical("claim_commitment"),
    );
    check_refused(&sample(arb_policy()), |it: &mut wire::Policy| it.blocked_tags = vec![modulus()], {
        not_canonical("blocked_tags")
    });
}

#[test]
fn fields_of_fixed_length_have_it() {
    let length = |field, expected, got| Malformed::Length { field, expected, got };
    let bundle = sample(arb_key_bundle());
    check_refused(&bundle, |it: &mut wire::KeyBundle| it.prekey.push(0), length("prekey", 32, 33));
    check_refused(&bundle, |it: &mut wire::KeyBundle| it.identity_key.clear(), length("identity_key", 32, 0));
    check_refused(&bundle, |it: &mut wire::KeyBundle| it.wallet_signature.truncate(64), {
        length("wallet_signature", 65, 64)
    });
    check_refused(&sample(arb_proof()), |it: &mut wire::Proof| it.points.push(0), length("proof.points", 128, 129));
    check_refused(&sample(arb_vault()), |it: &mut wire::VaultRecord| it.nonce.push(0), length("nonce", 24, 25));
    check_refused(&sample(arb_postmark()), |it: &mut wire::Postmark| it.signature.clear(), {
        length("postmark.signature", 65, 0)
    });
}

#[test]
fn lists_and_payloads_have_their_limits() {
    let too_large = |field, max, got| Malformed::TooLarge { field, max, got };
    check_refused(
        &sample(arb_envelope()),
        |it: &mut wire::Envelope| it.ciphertext = vec![0; MAX_CIPHERTEXT_BYTES + 1],
        too_large("ciphertext", MAX_CIPHERTEXT_BYTES, MAX_CIPHERTEXT_BYTES + 1),
    );
    check_refused(
        &sample(arb_policy()),
        |it: &mut wire::Policy| it.blocked_tags = vec![vec![0; 32]; MAX_BLOCKED_TAGS + 1],
        too_large("blocked_tags", MAX_BLOCKED_TAGS, MAX_BLOCKED_TAGS + 1),
    );
    let posting = || Pass::Posting(Posting { key: [1; 32], signature: [2; 64] });
    check_refused(
        &Submission::new(sample(arb_envelope()), vec![posting(); 8]).unwrap(),
        |it: &mut wire::Submission| it.passes.push(posting().into()),
        too_large("passes", 8, 9),
    );
    assert_eq!(KeyBundle::from_bytes(&[0; 4097]), Err(too_large("key bundle", 4096, 4097)));
    assert_eq!(VaultRecord::from_bytes(&[0; 65_537]), Err(too_large("vault record", 65_536, 65_537)));
    assert_eq!(SignedPolicy::from_bytes(&[0; 16_513]), Err(too_large("signed policy", 16_512, 16_513)));
}

#[test]
fn one_nullifier_is_one_pass_even_of_two_kinds() {
    let stamp = sample_stamp();
    let stake = Pass::Stake(Stake { tier: 1, epoch: Epoch(1), proof: stamp.proof.clone() });
    let envelope = sample(arb_envelope());
    let twice = Submission::new(envelope, vec![Pass::Stamp(stamp), stake]);
    assert_eq!(twice, Err(Malformed::RepeatedNullifier));
}

#[test]
fn five_stamps_are_one_too_many() {
    let stamp = |nullifier: u64| {
        let mut stamp = sample_stamp();
        stamp.proof.nullifier = FieldElement::from(nullifier).into();
        Pass::Stamp(stamp)
    };
    let envelope = sample(arb_envelope());
    assert!(Submission::new(envelope.clone(), (1..=4).map(stamp).collect()).is_ok());
    let expected = Malformed::TooLarge { field: "stamps", max: 4, got: 5 };
    assert_eq!(Submission::new(envelope, (1..=5).map(stamp).collect()), Err(expected));
}

fn sample_stamp() -> Stamp {
    sample(arb_pass().prop_filter_map("no stamp", |it| if let Pass::Stamp(it) = it { Some(it) } else { None }))
}
