//! Keys: what is read, what is refused, and what a cache is trusted with.

#![allow(clippy::unwrap_used, reason = "functions beside the tests")]

use std::fs;

use ark_bn254::{Bn254, Fq2, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::UniformRand;
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};
use ark_std::rand::{SeedableRng, rngs::StdRng};
use xmtp_prover::{MalformedKey, ProvingKey, VerifyingKey};

type Points = ark_groth16::VerifyingKey<Bn254>;

fn points() -> Points {
    Points::deserialize_compressed(VerifyingKey::dev().to_bytes().as_slice()).unwrap()
}

fn check_refused(points: &Points, expected: MalformedKey) {
    let mut bytes = Vec::new();
    points.serialize_compressed(&mut bytes).unwrap();
    assert_eq!(VerifyingKey::from_bytes(&bytes), Err(expected));
}

/// On the twist, and not in its subgroup.
fn stray_point() -> G2Affine {
    let mut rng = StdRng::seed_from_u64(1);
    loop {
        if let Some(point) = G2Affine::get_point_from_x_unchecked(Fq2::rand(&mut rng), true) {
            assert!(!point.is_in_correct_subgroup_assuming_on_curve());
            return point;
        }
    }
}

#[test]
fn verifying_key_survives_its_encoding() {
    let bytes = VerifyingKey::dev().to_bytes();
    assert_eq!(bytes.len(), 488);
    let key = VerifyingKey::from_bytes(&bytes).unwrap();
    assert_eq!(&key, VerifyingKey::dev());
    assert!(key.is_dev());
}

#[test]
fn verifying_key_with_more_or_fewer_bytes_is_refused() {
    let bytes = VerifyingKey::dev().to_bytes();
    assert_eq!(VerifyingKey::from_bytes(&bytes[..487]), Err(MalformedKey::Points));
    assert_eq!(VerifyingKey::from_bytes(&[bytes.as_slice(), &[0]].concat()), Err(MalformedKey::Points));
    assert_eq!(VerifyingKey::from_bytes(&[]), Err(MalformedKey::Points));
}

#[test]
fn verifying_key_with_a_point_at_infinity_is_refused() {
    let (g1, g2) = (G1Affine::identity(), G2Affine::identity());
    check_refused(&Points { alpha_g1: g1, ..points() }, MalformedKey::Points);
    check_refused(&Points { beta_g2: g2, ..points() }, MalformedKey::Points);
    check_refused(&Points { gamma_g2: g2, ..points() }, MalformedKey::Points);
    check_refused(&Points { delta_g2: g2, ..points() }, MalformedKey::Points);
    let mut unbound = points();
    unbound.gamma_abc_g1[3] = g1;
    check_refused(&unbound, MalformedKey::Points);
}

#[test]
fn verifying_key_with_a_point_outside_the_subgroup_is_refused() {
    check_refused(&Points { delta_g2: stray_point(), ..points() }, MalformedKey::Points);
}

#[test]
fn verifying_key_that_lies_about_its_length_is_refused_without_making_room_for_it() {
    let mut bytes = VerifyingKey::dev().to_bytes();
    let length = 32 + 3 * 64;
    assert_eq!(bytes[length..length + 8], 8_u64.to_le_bytes());
    for lie in [7, 9, u64::MAX / 32, u64::MAX] {
        bytes[length..length + 8].copy_from_slice(&lie.to_le_bytes());
        assert!(VerifyingKey::from_bytes(&bytes).is_err(), "{lie}");
    }
}

#[test]
fn proving_key_with_a_point_outside_the_subgroup_is_refused() {
    let bytes = ProvingKey::dev().unwrap().to_bytes();
    let mut points = ark_groth16::ProvingKey::<Bn254>::deserialize_uncompressed_unchecked(bytes.as_slice()).unwrap();
    points.b_g2_query[17] = stray_point();
    let mut bytes = Vec::new();
    points.serialize_uncompressed(&mut bytes).unwrap();
    assert_eq!(ProvingKey::from_bytes(&bytes), Err(MalformedKey::Points));
}

#[test]
fn proving_key_of_another_circuit_is_refused() {
    let bytes = ProvingKey::dev().unwrap().to_bytes();
    let mut points = ark_groth16::ProvingKey::<Bn254>::deserialize_uncompressed_unchecked(bytes.as_slice()).unwrap();
    points.h_query.truncate(2047);
    let mut bytes = Vec::new();
    points.serialize_uncompressed(&mut bytes).unwrap();
    assert_eq!(ProvingKey::from_bytes(&bytes), Err(MalformedKey::OtherCircuit));
}

#[test]
fn verifying_key_of_another_number_of_inputs_is_refused() {
    let mut other = points();
    other.gamma_abc_g1.pop();
    check_refused(&other, MalformedKey::OtherCircuit);
    other.gamma_abc_g1.extend([G1Affine::generator(); 2]);
    check_refused(&other, MalformedKey::OtherCircuit);
}

#[test]
fn proving_key_survives_its_encoding_and_knows_its_verifying_key() {
    let made = ProvingKey::dev().unwrap();
    let bytes = made.to_bytes();
    let key = ProvingKey::from_bytes(&bytes).unwrap();
    assert_eq!(&key, &made);
    assert_eq!(&key.verifying_key().unwrap(), VerifyingKey::dev());
    assert_eq!(ProvingKey::from_bytes(&bytes[..bytes.len() - 1]), Err(MalformedKey::Points));
    assert_eq!(ProvingKey::from_bytes(&[bytes.as_slice(), &[0]].concat()), Err(MalformedKey::Points));
}

#[test]
fn cached_development_key_is_used_only_if_it_is_the_pinned_one() {
    let dir = tempfile::tempdir().unwrap();
    let key = ProvingKey::dev_cached(dir.path()).unwrap();
    let file = {
        let mut files = fs::read_dir(dir.path()).unwrap();
        let file = files.next().unwrap().unwrap().path();
        assert!(files.next().is_none(), "nothing but the key is left behind");
        file
    };
    let honest = fs::read(&file).unwrap();
    assert_eq!(honest, key.to_bytes());
    let mut forged = honest.clone();
    let middle = forged.len() / 2;
    forged[middle] ^= 1;
    for content in [forged, Vec::new(), honest[..1000].to_vec()] {
        fs::write(&file, content).unwrap();
        assert_eq!(ProvingKey::dev_cached(dir.path()).unwrap(), key);
        assert_eq!(fs::read(&file).unwrap(), honest, "the file is mended");
    }
    assert!(ProvingKey::dev_cached(&dir.path().join("missing")).is_err());
}
