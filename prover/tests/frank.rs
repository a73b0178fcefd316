//! Blank stamps: what they become, what they refuse, how they are kept.

#![allow(clippy::unwrap_used, reason = "functions beside the tests")]

mod support;

use ark_bn254::{Bn254, Fq, G1Affine, G2Affine};
use ark_ff::{BigInteger, PrimeField};
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use substrate_bn as bn;
use xmtp_proto::field::{ExternalNullifier, FieldElement, MODULUS, Scope, Signal};
use xmtp_prover::{
    Blank, FinishError, Index, Limit, MalformedBlank, PassSecret, Plate, Proof, ProveError, Statement, VerifyingKey,
    Witness, prove, verify,
};

use support::{KEY, limit, path, secret};

const INDEX: Index = Index::new(42);

fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

fn external_nullifier() -> ExternalNullifier {
    FieldElement::from(11).into()
}

fn scope() -> Scope {
    FieldElement::from(13).into()
}

fn plate() -> Plate {
    Plate::new(&KEY, &secret(), limit(), &path()).unwrap()
}

fn blank() -> Blank {
    plate().blank(external_nullifier(), INDEX, scope(), &mut rng(3)).unwrap()
}

/// The same use of the leaf with the same randomness, proved at once.
fn proved(signal: Signal) -> (Statement, Proof) {
    let (secret, path) = (secret(), path());
    let witness = Witness { secret: &secret, limit: limit(), index: INDEX, path: &path };
    prove(&KEY, &witness, external_nullifier(), signal, scope(), &mut rng(3)).unwrap()
}

/// 1, 2, the largest number, and one in between.
fn signals() -> [Signal; 4] {
    let mut largest = MODULUS;
    largest[31] -= 1;
    let largest = FieldElement::from_be_bytes(largest).unwrap();
    let in_between = FieldElement::from_be_bytes([0x29; 32]).unwrap();
    [1.into(), 2.into(), in_between, largest].map(Signal::from)
}

/// Again from its bytes, since a blank can be finished once and not copied.
fn finish(bytes: &[u8; Blank::LEN], signal: Signal) -> (Statement, Proof) {
    Blank::from_secret_bytes(bytes).unwrap().finish(&secret(), signal).unwrap()
}

#[test]
fn finished_blank_is_the_proof_that_the_same_randomness_gives() {
    let bytes = blank().to_secret_bytes();
    for signal in signals() {
        assert_eq!(finish(&bytes, signal), proved(signal), "{signal}");
    }
}

#[test]
fn finished_blank_verifies_for_its_signal_only() {
    let bytes = blank().to_secret_bytes();
    for signal in signals() {
        let (statement, proof) = finish(&bytes, signal);
        assert_eq!(verify(VerifyingKey::dev(), &statement, &proof), Ok(()), "{signal}");
        let other = Statement { signal: FieldElement::from(77).into(), ..statement };
        assert!(verify(VerifyingKey::dev(), &other, &proof).is_err(), "{signal}");
    }
}

#[test]
fn blank_names_what_the_proof_will_state() {
    let (plate, blank) = (plate(), blank());
    let names = (blank.root(), blank.external_nullifier(), blank.scope(), blank.nullifier(), blank.tag());
    assert_eq!(blank.root(), plate.root());
    assert_eq!(blank.index(), INDEX);
    let (it, _) = blank.finish(&secret(), signals()[0]).unwrap();
    assert_eq!(names, (it.root, it.external_nullifier, it.scope, it.nullifier, it.tag));
}

#[test]
fn every_blank_has_randomness_of_its_own() {
    let (plate, rng) = (plate(), &mut rng(4));
    let mut prepare = || plate.blank(external_nullifier(), INDEX, scope(), rng).unwrap();
    let [(_, first), (_, second)] = [prepare(), prepare()].map(|it| it.finish(&secret(), signals()[0]).unwrap());
    assert_ne!(first, second);
}

#[test]
fn another_verifier_agrees() {
    let bytes = blank().to_secret_bytes();
    for signal in signals() {
        let (statement, proof) = finish(&bytes, signal);
        assert!(independently_verified(&statement, &proof), "{signal}");
        let other = Statement { signal: FieldElement::from(77).into(), ..statement };
        assert!(!independently_verified(&other, &proof), "{signal}");
    }
}

/// Groth16's equation by the code that Ethereum clients had for EIP-196 and EIP-197, which shares none with arkworks.
fn independently_verified(statement: &Statement, proof: &Proof) -> bool {
    let key =
        ark_groth16::VerifyingKey::<Bn254>::deserialize_compressed(VerifyingKey::dev().to_bytes().as_slice()).unwrap();
    let proof = ark_groth16::Proof::<Bn254>::deserialize_compressed(proof.to_bytes().as_slice()).unwrap();
    let mut inputs = g1(&key.gamma_abc_g1[0]);
    for (point, input) in key.gamma_abc_g1[1..].iter().zip(statement.public_inputs()) {
        inputs = inputs + g1(point) * bn::Fr::from_slice(input.as_bytes()).unwrap();
    }
    let sides = [
        (g1(&proof.a), g2(&proof.b)),
        (-g1(&key.alpha_g1), g2(&key.beta_g2)),
        (-inputs, g2(&key.gamma_g2)),
        (-g1(&proof.c), g2(&key.delta_g2)),
    ];
    bn::pairing_batch(&sides) == bn::Gt::one()
}

fn fq(number: Fq) -> bn::Fq {
    bn::Fq::from_slice(&number.into_bigint().to_bytes_be()).unwrap()
}

fn g1(point: &G1Affine) -> bn::G1 {
    bn::AffineG1::new(fq(point.x), fq(point.y)).unwrap().into()
}

fn g2(point: &G2Affine) -> bn::G2 {
    let [x, y] = [point.x, point.y].map(|it| bn::Fq2::new(fq(it.c0), fq(it.c1)));
    bn::AffineG2::new(x, y).unwrap().into()
}

#[test]
fn signal_zero_is_refused() {
    let zero = Signal::from(FieldElement::ZERO);
    assert_eq!(blank().finish(&secret(), zero), Err(FinishError::ZeroSignal));
}

#[test]
fn secret_of_another_book_is_refused() {
    let stranger = PassSecret::from_wide_bytes(&[8; 64]).unwrap();
    assert_eq!(blank().finish(&stranger, signals()[0]), Err(FinishError::OtherSecret));
}

#[test]
fn index_above_the_limit_is_refused() {
    for index in [100, u16::MAX].map(Index::new) {
        let refused = plate().blank(external_nullifier(), index, scope(), &mut rng(3));
        assert_eq!(refused.err(), Some(ProveError::IndexAboveLimit));
    }
}

#[test]
fn blank_is_the_same_with_a_plate_and_without() {
    let (secret, path) = (secret(), path());
    let witness = Witness { secret: &secret, limit: limit(), index: INDEX, path: &path };
    let without = Blank::prepare(&KEY, &witness, external_nullifier(), scope(), &mut rng(3)).unwrap();
    assert_eq!(*without.to_secret_bytes(), *blank().to_secret_bytes());
}

#[test]
fn witness_that_is_not_true_is_refused_without_a_plate_too() {
    let (secret, path) = (secret(), path());
    let refused = |limit, index| {
        let witness = Witness { secret: &secret, limit, index, path: &path };
        Blank::prepare(&KEY, &witness, external_nullifier(), scope(), &mut rng(3)).err()
    };
    assert_eq!(refused(limit(), Index::new(100)), Some(ProveError::IndexAboveLimit));
    let broken = ProveError::Path(path.root_of(FieldElement::from(99).into()).unwrap_err());
    assert_eq!(refused(Limit::new(101).unwrap(), INDEX), Some(broken));
}

#[test]
fn plate_for_another_leaf_is_refused() {
    let broken = ProveError::Path(path().root_of(FieldElement::from(99).into()).unwrap_err());
    let stranger = PassSecret::from_wide_bytes(&[8; 64]).unwrap();
    assert_eq!(Plate::new(&KEY, &stranger, limit(), &path()).err(), Some(broken));
    assert_eq!(Plate::new(&KEY, &secret(), Limit::new(101).unwrap(), &path()).err(), Some(broken));
}

#[test]
fn blank_survives_its_encoding_which_is_laid_out_as_documented() {
    let blank = blank();
    let bytes = blank.to_secret_bytes();
    assert_eq!(bytes[0], 1);
    assert_eq!(bytes[1..33], *blank.root().as_bytes());
    assert_eq!(bytes[33..65], *blank.external_nullifier().as_bytes());
    assert_eq!(bytes[65..67], [0, 42]);
    assert_eq!(bytes[67..99], *blank.scope().as_bytes());
    assert_eq!(bytes[99..131], *blank.nullifier().as_bytes());
    assert_eq!(bytes[131..163], *blank.tag().as_bytes());
    assert_eq!(*Blank::from_secret_bytes(&bytes).unwrap().to_secret_bytes(), *bytes);
}

#[test]
fn encoding_has_neither_secret_nor_slope() {
    let bytes = blank().to_secret_bytes();
    let secret = secret();
    // Two shares give the slope away: y(2) − y(1).
    let [one, two] = [1, 2].map(|x| {
        let share = secret.share(external_nullifier(), INDEX, FieldElement::from(x).into());
        ark_bn254::Fr::from_be_bytes_mod_order(share.as_bytes())
    });
    let slope = (two - one).into_bigint();
    let secret = secret.to_be_bytes();
    for (name, number) in [("secret", secret.to_vec()), ("slope", slope.to_bytes_be())] {
        let mut reversed = number.clone();
        reversed.reverse();
        let found = bytes.windows(32).any(|window| window == number || window == reversed);
        assert!(!found, "{name}");
    }
}

fn check_malformed(what: &str, change: impl FnOnce(&mut [u8; Blank::LEN])) {
    let mut bytes = *blank().to_secret_bytes();
    change(&mut bytes);
    assert_eq!(Blank::from_secret_bytes(&bytes).err(), Some(MalformedBlank), "{what}");
}

#[test]
fn bytes_that_are_no_blank_are_refused() {
    check_malformed("another version", |bytes| bytes[0] = 2);
    for (name, start) in [("root", 1), ("external nullifier", 33), ("scope", 67), ("nullifier", 99), ("tag", 131)] {
        check_malformed(name, |bytes| bytes[start..start + 32].copy_from_slice(&MODULUS));
    }
    for (name, start) in [("A0", 163), ("A1", 195), ("C0", 355), ("C1", 387), ("C2", 419)] {
        let mut infinity = [0; 32];
        G1Affine::identity().serialize_compressed(infinity.as_mut_slice()).unwrap();
        check_malformed(name, |bytes| bytes[start..start + 32].copy_from_slice(&infinity));
        check_malformed(name, |bytes| bytes[start..start + 32].fill(0xff));
    }
    for (name, start) in [("B0", 227), ("B1", 291)] {
        let mut infinity = [0; 64];
        G2Affine::identity().serialize_compressed(infinity.as_mut_slice()).unwrap();
        check_malformed(name, |bytes| bytes[start..start + 64].copy_from_slice(&infinity));
        check_malformed(name, |bytes| bytes[start..start + 64].fill(0xff));
    }
}

#[test]
fn any_changed_bit_of_a_blank_is_refused_or_spoils_the_proof() {
    let bytes = blank().to_secret_bytes();
    for bit in (0..8 * Blank::LEN).step_by(13) {
        let mut changed = *bytes;
        changed[bit / 8] ^= 1 << (bit % 8);
        let Ok(blank) = Blank::from_secret_bytes(&changed) else { continue };
        let Ok((statement, proof)) = blank.finish(&secret(), signals()[0]) else { continue };
        assert!(verify(VerifyingKey::dev(), &statement, &proof).is_err(), "bit {bit}");
    }
}
