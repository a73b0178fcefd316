//! A batch against single verification: the same verdicts, whatever is in it.

use std::{collections::HashSet, sync::LazyLock};

use ark_bn254::{Fq2, G1Affine, G2Affine, G2Projective};
use ark_ec::AffineRepr;
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};
use proptest::{collection::vec, prelude::*, sample::Index as AnyIndex};
use xmtp_proto::field::{ExternalNullifier, FieldElement, Scope, Signal};

use super::*;
use crate::{Bucket, Group, Index, Limit, PassSecret, ProvingKey, Witness, leaf, prove, testing::rng};

type Points = ark_groth16::Proof<Bn254>;
type Member = (Statement, [u8; Proof::LEN]);

/// Honest members of batches, of two groups: each with its root, another secret and limit, another external nullifier. Every
/// other one has a scope of its own.
static HONEST: LazyLock<Vec<Member>> = LazyLock::new(|| {
    let key = ProvingKey::dev_cached(&std::env::temp_dir()).unwrap();
    let groups = [(7, 100, 11), (8, 50, 12)].map(|(seed, limit, external_nullifier)| {
        let secret = PassSecret::from_wide_bytes(&[seed; 64]).unwrap();
        let limit = Limit::new(limit).unwrap();
        let mut group = Group::new();
        group.extend((1..=external_nullifier).map(|other| FieldElement::from(other).into()));
        let position = group.append(leaf(secret.commitment(), limit));
        let bucket = group.bucket(&group.checkpoint(), position.volume, Bucket::index_of(position.index)).unwrap();
        let path = bucket.path(position.index).unwrap();
        (secret, limit, path, ExternalNullifier::from(FieldElement::from(external_nullifier)))
    });
    let prove_for = |index: u16| {
        let (secret, limit, path, external_nullifier) = &groups[usize::from(index % 3 % 2)];
        let witness = Witness { secret, limit: *limit, index: Index::new(index), path };
        let signal = Signal::from(FieldElement::from(u64::from(index) + 1));
        let scope = Scope::from(FieldElement::from(if index.is_multiple_of(2) { 13 } else { 100 + u64::from(index) }));
        let (statement, proof) = prove(&key, &witness, *external_nullifier, signal, scope, &mut rng(3)).unwrap();
        (statement, proof.to_bytes())
    };
    (0..10).map(prove_for).collect()
});

#[test]
fn honest_members_differ_in_all_that_a_group_makes_different() {
    let different = |part: fn(&Statement) -> FieldElement| {
        HONEST.iter().map(|(statement, _)| part(statement)).collect::<HashSet<_>>().len()
    };
    assert_eq!(different(|it| it.root.field()), 2);
    assert_eq!(different(|it| it.external_nullifier.field()), 2);
    assert_eq!(different(|it| it.scope.field()), 6);
    assert_eq!(different(|it| it.nullifier.field()), 10);
}

fn alone((statement, bytes): &Member) -> Verdict {
    let proof = Proof::from_bytes(bytes)?;
    Ok(crate::verify(VerifyingKey::dev(), statement, &proof)?)
}

fn together(members: &[Member]) -> Vec<Verdict> {
    verify(VerifyingKey::dev(), members, &mut rng(4))
}

fn check(members: &[Member]) {
    assert_eq!(together(members), members.iter().map(alone).collect::<Vec<_>>());
}

fn points((_, bytes): &Member) -> Points {
    Points::deserialize_compressed(bytes.as_slice()).unwrap()
}

fn encode(points: &Points) -> [u8; Proof::LEN] {
    let mut bytes = [0; Proof::LEN];
    points.serialize_compressed(bytes.as_mut_slice()).unwrap();
    bytes
}

/// Two members whose errors cancel each other where every proof counts the same.
fn cancelling_pair() -> [Member; 2] {
    let [first, second] = [HONEST[0], HONEST[1]];
    let error = G1Affine::generator();
    let moved = |member: &Member, error: G1Affine| {
        let honest = points(member);
        (member.0, encode(&Points { c: (honest.c + error).into_affine(), ..honest }))
    };
    [moved(&first, error), moved(&second, -error)]
}

/// What can be done to a member of a batch.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// It still proves its statement.
    NegateTwice,
    NegateA,
    AOfAnother,
    BOfAnother,
    COfAnother,
    ProofOfAnother,
    StatementOfAnother,
    Input(u8),
    SignalZero,
    InfinityC,
    OutsideSubgroup,
    HiddenOutsideSubgroup,
    Bit(u16),
    /// Together with another member, if that is honest.
    Cancel,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(Change::NegateTwice),
        Just(Change::NegateA),
        Just(Change::AOfAnother),
        Just(Change::BOfAnother),
        Just(Change::COfAnother),
        Just(Change::ProofOfAnother),
        Just(Change::StatementOfAnother),
        (0..7_u8).prop_map(Change::Input),
        Just(Change::SignalZero),
        Just(Change::InfinityC),
        Just(Change::OutsideSubgroup),
        Just(Change::HiddenOutsideSubgroup),
        (0..1024_u16).prop_map(Change::Bit),
        Just(Change::Cancel),
    ]
}

fn stray() -> G2Affine {
    let mut xs = (1_u64..).map(|x| Fq2::new(x.into(), 1_u64.into()));
    xs.find_map(|x| G2Affine::get_point_from_x_unchecked(x, true)).unwrap()
}

fn apply(members: &mut [Member], changed: usize, other: usize, change: Change) {
    let (statement, bytes) = members[changed];
    // What is changed a second time may have no points any more.
    let Ok(honest) = Points::deserialize_compressed(bytes.as_slice()) else { return };
    let Ok(others) = Points::deserialize_compressed(members[other].1.as_slice()) else { return };
    let field = FieldElement::from(77);
    let moved = match change {
        Change::NegateTwice => Points { a: -honest.a, b: -honest.b, c: honest.c },
        Change::NegateA => Points { a: -honest.a, ..honest },
        Change::AOfAnother => Points { a: others.a, ..honest },
        Change::BOfAnother => Points { b: others.b, ..honest },
        Change::COfAnother => Points { c: others.c, ..honest },
        Change::ProofOfAnother => others,
        Change::InfinityC => Points { c: G1Affine::identity(), ..honest },
        Change::OutsideSubgroup => Points { b: stray(), ..honest },
        Change::HiddenOutsideSubgroup => Points { b: (G2Projective::from(honest.b) + stray()).into_affine(), ..honest },
        Change::Cancel => {
            let error = (honest.a + others.a).into_affine();
            members[other].1 = encode(&Points { c: (others.c - error).into_affine(), ..others });
            Points { c: (honest.c + error).into_affine(), ..honest }
        }
        Change::Bit(bit) => {
            members[changed].1[usize::from(bit / 8)] ^= 1 << (bit % 8);
            return;
        }
        Change::StatementOfAnother => {
            members[changed].0 = members[other].0;
            return;
        }
        Change::SignalZero => {
            members[changed].0.signal = FieldElement::ZERO.into();
            return;
        }
        Change::Input(input) => {
            members[changed].0 = match input {
                0 => Statement { root: field.into(), ..statement },
                1 => Statement { external_nullifier: field.into(), ..statement },
                2 => Statement { signal: field.into(), ..statement },
                3 => Statement { share: field.into(), ..statement },
                4 => Statement { nullifier: field.into(), ..statement },
                5 => Statement { scope: field.into(), ..statement },
                _ => Statement { tag: field.into(), ..statement },
            };
            return;
        }
    };
    members[changed].1 = encode(&moved);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn verdicts_are_those_of_single_verification(
        honest in vec(any::<AnyIndex>(), 1..40),
        changes in vec((any::<AnyIndex>(), any::<AnyIndex>(), change()), 0..8),
    ) {
        let mut members: Vec<Member> = honest.iter().map(|at| *at.get(&HONEST)).collect();
        let all = members.len();
        for (changed, other, change) in changes {
            let (changed, other) = (changed.index(all), other.index(all));
            if changed != other {
                apply(&mut members, changed, other, change);
            }
        }
        check(&members);
    }
}

#[test]
fn empty_batch_has_no_verdicts() {
    check(&[]);
}

#[test]
fn batch_of_one_is_single_verification() {
    check(&HONEST[..1]);
    check(&cancelling_pair()[..1]);
}

#[test]
fn one_proof_may_be_in_a_batch_more_than_once() {
    check(&[HONEST[0], HONEST[0], cancelling_pair()[0], HONEST[0], cancelling_pair()[0]]);
}

#[test]
fn every_place_of_a_batch_is_searched() {
    let bad = cancelling_pair()[0];
    for size in [2, 3, GROUP, GROUP + 1, 3 * GROUP - 1] {
        for place in 0..size {
            let mut members: Vec<Member> = HONEST.iter().copied().cycle().take(size).collect();
            members[place] = bad;
            let culprits: Vec<usize> =
                together(&members).iter().enumerate().filter(|(_, it)| it.is_err()).map(|(at, _)| at).collect();
            assert_eq!(culprits, [place], "{size}");
        }
    }
}

#[test]
fn batch_of_bad_proofs_only_names_them_all() {
    let members: Vec<Member> = cancelling_pair().into_iter().cycle().take(2 * GROUP + 3).collect();
    assert!(together(&members).iter().all(|verdict| *verdict == Err(VerifyError::NotProved.into())));
}

#[test]
fn nothing_but_the_coefficients_keeps_errors_from_cancelling() {
    let pair = cancelling_pair();
    let verdicts = verify_with(VerifyingKey::dev(), &pair, &[Coefficient([1, 0]); 2]);
    assert_eq!(verdicts, [Ok(()), Ok(())], "with equal coefficients they do cancel, or this test tests nothing");
    let refused = Err(VerifyError::NotProved.into());
    assert_eq!(together(&pair), [refused, refused]);
}

#[test]
fn combination_is_the_sum_of_multiples() {
    let mut rng = rng(5);
    let mut point = G1Affine::generator();
    let mut terms = Vec::new();
    for _ in 0..5 {
        terms.push((Coefficient::random(&mut rng), point));
        point = (point + point).into_affine();
    }
    terms.push((Coefficient([0, u64::MAX]), point));
    terms.push((Coefficient([u64::MAX, u64::MAX]), point));
    let expected: G1Projective = terms.iter().map(|(coefficient, point)| *point * coefficient.number()).sum();
    assert_eq!(combine(&terms), expected);
    assert!(combine(&[]).is_zero());
}
