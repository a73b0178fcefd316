//! Proofs from end to end: what verifies, and everything that must not.

#![allow(clippy::unwrap_used, reason = "functions beside the tests")]

mod support;

use ark_bn254::{Bn254, Fq, Fq2, Fr, G1Affine, G2Affine, G2Projective};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{BigInteger, PrimeField, UniformRand};
use ark_groth16::Groth16;
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};
use ark_std::rand::{SeedableRng as _, rngs::StdRng};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use xmtp_proto::field::{ExternalNullifier, FieldElement, Scope, Signal};
use xmtp_prover::{
    Index, Limit, MalformedProof, NotEvidence, PassSecret, Proof, ProveError, Statement, VerifyError, VerifyingKey,
    Witness, prove, recover, verify,
};

use support::{KEY, limit, path, secret};

type Points = ark_groth16::Proof<Bn254>;

const EXTERNAL_NULLIFIER: u64 = 11;
const SIGNAL: u64 = 12;
const SCOPE: u64 = 13;

fn prove_for(index: u16, signal: u64) -> (Statement, Proof) {
    let (secret, path) = (secret(), path());
    let witness = Witness { secret: &secret, limit: limit(), index: Index::new(index), path: &path };
    let external_nullifier = ExternalNullifier::from(FieldElement::from(EXTERNAL_NULLIFIER));
    let signal = Signal::from(FieldElement::from(signal));
    let scope = Scope::from(FieldElement::from(SCOPE));
    prove(&KEY, &witness, external_nullifier, signal, scope, &mut ChaCha20Rng::from_seed([3; 32])).unwrap()
}

fn check(statement: &Statement, proof: &Proof, expected: Result<(), VerifyError>) {
    assert_eq!(verify(VerifyingKey::dev(), statement, proof), expected);
}

fn encode(points: &Points) -> [u8; Proof::LEN] {
    let mut bytes = [0; Proof::LEN];
    points.serialize_compressed(bytes.as_mut_slice()).unwrap();
    bytes
}

fn points(proof: &Proof) -> Points {
    Points::deserialize_compressed(proof.to_bytes().as_slice()).unwrap()
}

#[test]
fn honest_proof_verifies_and_survives_its_encoding() {
    let (statement, proof) = prove_for(0, SIGNAL);
    check(&statement, &Proof::from_bytes(&proof.to_bytes()).unwrap(), Ok(()));
    check(&prove_for(99, SIGNAL).0, &prove_for(99, SIGNAL).1, Ok(()));
}

#[test]
fn proof_for_any_other_statement_is_refused() {
    let (honest, proof) = prove_for(0, SIGNAL);
    let other = FieldElement::from(77);
    let changes: [(&str, Statement); 7] = [
        ("root", Statement { root: other.into(), ..honest }),
        ("external nullifier", Statement { external_nullifier: other.into(), ..honest }),
        ("signal", Statement { signal: other.into(), ..honest }),
        ("share", Statement { share: other.into(), ..honest }),
        ("nullifier", Statement { nullifier: other.into(), ..honest }),
        ("scope", Statement { scope: other.into(), ..honest }),
        ("tag", Statement { tag: other.into(), ..honest }),
    ];
    for (changed, statement) in changes {
        assert_eq!(verify(VerifyingKey::dev(), &statement, &proof), Err(VerifyError::NotProved), "{changed}");
    }
}

#[test]
fn proof_under_another_key_is_refused() {
    let (statement, proof) = prove_for(0, SIGNAL);
    let mut other =
        ark_groth16::VerifyingKey::<Bn254>::deserialize_compressed(VerifyingKey::dev().to_bytes().as_slice()).unwrap();
    other.gamma_abc_g1[1] = G1Affine::generator();
    let mut bytes = Vec::new();
    other.serialize_compressed(&mut bytes).unwrap();
    let other = VerifyingKey::from_bytes(&bytes).unwrap();
    assert!(!other.is_dev());
    assert_ne!(other.keccak(), VerifyingKey::dev().keccak());
    assert_eq!(verify(&other, &statement, &proof), Err(VerifyError::NotProved));
}

#[test]
fn public_inputs_cannot_be_shifted_among_each_other() {
    let (honest, proof) = prove_for(0, SIGNAL);
    let Statement { share, nullifier, .. } = honest;
    let swapped = Statement { share: nullifier.field().into(), nullifier: share.field().into(), ..honest };
    check(&swapped, &proof, Err(VerifyError::NotProved));
}

#[test]
fn signal_zero_is_refused_by_both_sides() {
    let (honest, proof) = prove_for(0, SIGNAL);
    check(&Statement { signal: FieldElement::ZERO.into(), ..honest }, &proof, Err(VerifyError::ZeroSignal));
    check_refused(&secret(), limit(), 0, 0, ProveError::ZeroSignal);
}

fn check_refused(secret: &PassSecret, limit: Limit, index: u16, signal: u64, expected: ProveError) {
    let path = path();
    let witness = Witness { secret, limit, index: Index::new(index), path: &path };
    let [external_nullifier, signal, scope] = [11, signal, 13].map(FieldElement::from);
    let (external_nullifier, signal) = (ExternalNullifier::from(external_nullifier), Signal::from(signal));
    let rng = &mut ChaCha20Rng::from_seed([3; 32]);
    let refused = prove(&KEY, &witness, external_nullifier, signal, Scope::from(scope), rng);
    assert_eq!(refused.err(), Some(expected));
}

#[test]
fn witness_that_is_not_true_is_refused_before_it_is_proved() {
    let stranger = PassSecret::from_wide_bytes(&[8; 64]).unwrap();
    let broken = ProveError::Path(path().root_of(FieldElement::from(99).into()).unwrap_err());
    check_refused(&stranger, limit(), 0, SIGNAL, broken);
    check_refused(&secret(), Limit::new(101).unwrap(), 0, SIGNAL, broken);
    check_refused(&secret(), limit(), 100, SIGNAL, ProveError::IndexAboveLimit);
    check_refused(&secret(), limit(), u16::MAX, SIGNAL, ProveError::IndexAboveLimit);
}

#[test]
fn two_proofs_with_one_nullifier_reveal_the_secret() {
    let [(first, _), (second, _)] = [prove_for(5, 1), prove_for(5, 2)];
    assert_eq!(first.nullifier, second.nullifier);
    let recovered = recover((first.signal, first.share), (second.signal, second.share)).unwrap();
    assert_eq!(recovered.commitment(), secret().commitment());
    let repeated = recover((first.signal, first.share), (first.signal, first.share));
    assert_eq!(repeated.err(), Some(NotEvidence::SameSignal));
}

#[test]
fn malleated_proofs_verify_for_the_same_statement_only() {
    let (statement, proof) = prove_for(0, SIGNAL);
    let other = Statement { signal: FieldElement::from(SIGNAL + 1).into(), ..statement };
    let honest = points(&proof);
    let negated = Points { a: -honest.a, b: -honest.b, c: honest.c };
    let key = ark_groth16::VerifyingKey::deserialize_compressed(VerifyingKey::dev().to_bytes().as_slice()).unwrap();
    let rerandomised = Groth16::<Bn254>::rerandomize_proof(&key, &honest, &mut StdRng::seed_from_u64(1));
    for points in [negated, rerandomised] {
        let malleated = Proof::from_bytes(&encode(&points)).unwrap();
        assert_ne!(malleated, proof);
        check(&statement, &malleated, Ok(()));
        check(&other, &malleated, Err(VerifyError::NotProved));
    }
    check(
        &statement,
        &Proof::from_bytes(&encode(&Points { a: -honest.a, ..honest })).unwrap(),
        Err(VerifyError::NotProved),
    );
}

#[test]
fn points_at_infinity_are_refused() {
    let honest = points(&prove_for(0, SIGNAL).1);
    let (no_g1, no_g2) = (G1Affine::identity(), G2Affine::identity());
    for points in [
        Points { a: no_g1, ..honest.clone() },
        Points { b: no_g2, ..honest.clone() },
        Points { c: no_g1, ..honest.clone() },
        Points { a: no_g1, b: no_g2, c: no_g1 },
    ] {
        assert_eq!(Proof::from_bytes(&encode(&points)), Err(MalformedProof));
    }
}

#[test]
fn points_of_the_twist_outside_the_subgroup_are_refused() {
    let honest = points(&prove_for(0, SIGNAL).1);
    let mut rng = StdRng::seed_from_u64(2);
    let mut outside = 0;
    while outside < 20 {
        let Some(b) = G2Affine::get_point_from_x_unchecked(Fq2::rand(&mut rng), true) else { continue };
        assert!(b.is_on_curve() && !b.is_in_correct_subgroup_assuming_on_curve());
        assert_eq!(Proof::from_bytes(&encode(&Points { b, ..honest.clone() })), Err(MalformedProof));
        outside += 1;
    }
    // A good point moved by a small-order one is outside as well, though hidden in a good one.
    let cofactor_part = {
        let stray = loop {
            if let Some(point) = G2Affine::get_point_from_x_unchecked(Fq2::rand(&mut rng), false) {
                break point;
            }
        };
        stray.mul_bigint(Fr::MODULUS).into_affine()
    };
    assert!(!cofactor_part.is_zero());
    let moved = (G2Projective::from(honest.b) + cofactor_part).into_affine();
    assert_eq!(Proof::from_bytes(&encode(&Points { b: moved, ..honest })), Err(MalformedProof));
}

#[test]
fn coordinates_off_the_curve_are_refused() {
    let bytes = prove_for(0, SIGNAL).1.to_bytes();
    let mut off_curve = 0;
    for x in 0..20_u8 {
        let mut changed = bytes;
        changed[..32].fill(0);
        changed[0] = x;
        if G1Affine::get_point_from_x_unchecked(Fq::from(x), true).is_none() {
            assert_eq!(Proof::from_bytes(&changed), Err(MalformedProof));
            off_curve += 1;
        }
    }
    assert!(off_curve > 0);
}

#[test]
fn coordinates_that_are_not_canonical_are_refused() {
    let honest = points(&prove_for(0, SIGNAL).1);
    let add_modulus = |bytes: &mut [u8]| {
        let flags = bytes[31] & 0xc0;
        bytes[31] &= 0x3f;
        let mut x = <Fq as PrimeField>::BigInt::deserialize_compressed(&*bytes).unwrap();
        assert!(!x.add_with_carry(&Fq::MODULUS));
        let raised = x.to_bytes_le();
        // Two more bits than the modulus has are taken by the flags.
        if raised[31] & 0xc0 != 0 {
            return false;
        }
        bytes.copy_from_slice(&raised);
        bytes[31] |= flags;
        true
    };
    let mut tried = 0;
    // G1: small x coordinates leave room for the modulus.
    for x in 1..40_u64 {
        let Some(a) = G1Affine::get_point_from_x_unchecked(Fq::from(x), false) else { continue };
        let bytes = encode(&Points { a, ..honest.clone() });
        assert!(Proof::from_bytes(&bytes).is_ok());
        let mut raised = bytes;
        assert!(add_modulus(&mut raised[..32]));
        assert_eq!(Proof::from_bytes(&raised), Err(MalformedProof));
        tried += 1;
    }
    assert!(tried > 5);
    // G2: both coordinates of x, wherever there is room.
    let mut tried = [0, 0];
    for factor in 1..40_u64 {
        let b = (G2Affine::generator() * Fr::from(factor)).into_affine();
        let bytes = encode(&Points { b, ..honest.clone() });
        assert!(Proof::from_bytes(&bytes).is_ok());
        for (coordinate, range) in [32..64, 64..96].into_iter().enumerate() {
            let mut raised = bytes;
            if add_modulus(&mut raised[range]) {
                assert_eq!(Proof::from_bytes(&raised), Err(MalformedProof));
                tried[coordinate] += 1;
            }
        }
    }
    assert!(tried.into_iter().all(|tried| tried > 5), "{tried:?}");
}

#[test]
fn flags_that_no_encoder_sets_are_refused() {
    let bytes = prove_for(0, SIGNAL).1.to_bytes();
    // The last byte of A, of B's first coordinate (which has no flags), of B, of C.
    for byte in [31, 63, 95, 127] {
        for flags in [0x40, 0xc0] {
            let mut changed = bytes;
            changed[byte] |= flags;
            if changed != bytes {
                assert_eq!(Proof::from_bytes(&changed), Err(MalformedProof), "byte {byte}, flags {flags:#x}");
            }
        }
    }
    let mut infinity_with_a_coordinate = bytes;
    infinity_with_a_coordinate[31] = infinity_with_a_coordinate[31] & 0x3f | 0x40;
    assert_eq!(Proof::from_bytes(&infinity_with_a_coordinate), Err(MalformedProof));
}

#[test]
fn any_changed_bit_of_a_proof_is_refused_or_fails() {
    let (statement, proof) = prove_for(0, SIGNAL);
    let bytes = proof.to_bytes();
    for bit in (0..8 * Proof::LEN).step_by(5) {
        let mut changed = bytes;
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(changed) = Proof::from_bytes(&changed) {
            check(&statement, &changed, Err(VerifyError::NotProved));
        }
    }
}
