//! Franking ahead of time: blank stamps (docs/protocol.md, "Franking ahead of time"; why a finished blank is a proof like
//! any other: docs/decisions/0017-blank-stamps.md).
//!
//! Of a statement only *x* and *y = a0 + a1·x* wait for the message, and both enter linearly. So with the prover's
//! randomness (*r*, *s*) fixed, a proof is a polynomial in *x*: `A = A0 + x·A1`, `B = B0 + x·B1`,
//! `C = C0 + x·C1 + x²·C2`. A [`Blank`] is these seven points and the statement but for *x* and *y*; finishing it takes
//! four multiplications of points, and needs no proving key. A [`Plate`] is what all blanks of one leaf under one root
//! have in common.
//!
//! ```
//! # use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
//! # use xmtp_proto::field::{ExternalNullifier, FieldElement, Scope, Signal};
//! # use xmtp_prover::{Blank, Group, Index, Limit, PassSecret, Plate, ProvingKey, VerifyingKey, leaf, verify};
//! # let secret = PassSecret::from_wide_bytes(&[7; 64])?;
//! # let limit = Limit::new(100)?;
//! # let mut group = Group::new();
//! # let position = group.append(leaf(secret.commitment(), limit));
//! # let path = group.bucket(&group.checkpoint(), position.volume, 0)?.path(position.index)?;
//! # let (external_nullifier, nonce) = (ExternalNullifier::from(FieldElement::from(1)), Scope::from(FieldElement::from(2)));
//! # let mut rng = ChaCha20Rng::from_seed([1; 32]);
//! // While idle: a plate per book and checkpoint, a blank per stamp. This one leaves the process, so it is to be sealed.
//! let plate = Plate::new(&ProvingKey::dev()?, &secret, limit, &path)?;
//! let blank = plate.blank(external_nullifier, Index::new(3), nonce, &mut rng)?;
//! let sealed = blank.to_secret_bytes();
//!
//! // When there is a letter, and what its index goes with is on disk.
//! let signal = Signal::from(FieldElement::from(12));
//! let (statement, proof) = Blank::from_secret_bytes(&sealed)?.finish(&secret, signal)?;
//! verify(VerifyingKey::dev(), &statement, &proof)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Keeping a stock
//!
//! Who finishes one blank for two signals gives the book's secret away, and who finishes two blanks with one (*r*, *s*)
//! shows that one sender made both. By value, one process cannot do the former; over crashes and copies it is the
//! stock's duty. A stock that keeps these rules is safe:
//!
//! - An index has one blank at a time, made when the index is reserved for this installation and no earlier. Whether it
//!   is still free is asked of the record of indices and never of the stock, which may be an old copy.
//! - To use a blank is to take it out of the stock *and* to record the envelope that its index goes with, before
//!   [`Blank::finish`] is called: in one durable write, if the stock is on disk. A retry sends the bytes that were sent before; a retry after a
//!   crash in between makes an ordinary proof for the recorded envelope, or a new blank.
//! - A blank that is given up (its root has aged, its scope will not do) is deleted, and its index goes back to those
//!   without a blank; nobody saw anything of it.
//! - Blanks are made under the newest checkpoint, which [`Blank::root`] names, and made anew when it is a week old.
//! - [`Blank::to_secret_bytes`] leave the process encrypted, under a key that is not the book's secret.
//! - A stock in memory, as the SDK's is, ends with the session that its indices were reserved for, and no copy of it is
//!   ever found. That is the simplest way to keep the first two rules.
//! - [`crate::verify`] looks at every finished proof before anybody else does: it costs three times what finishing does,
//!   and finds a damaged blank or proving key.

mod plate;

use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::Zero;
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};
use rand_chacha::rand_core::CryptoRng;
use xmtp_proto::field::{ExternalNullifier, FieldElement, Nullifier, Root, Scope, Signal, Tag};
use zeroize::{Zeroize, Zeroizing};

pub use plate::Plate;

use crate::{
    circuit::PassCircuit,
    field::{random, to_fr},
    keys::ProvingKey,
    proof::Proof,
    prove::{ProveError, Witness},
    secret::{Index, PassSecret},
    statement::Statement,
};

/// The first byte of an encoded blank.
const FORMAT: u8 = 1;

/// A proof for an index of a leaf, but for the signal.
///
/// It can be used once ([`Self::finish`] takes it), and neither copied nor printed. Its points are wiped when it is
/// dropped: who has them and sees the finished proof knows whose it is.
///
/// ```compile_fail,E0382
/// # use xmtp_proto::field::Signal;
/// # use xmtp_prover::{Blank, FinishError, PassSecret};
/// fn twice(blank: Blank, secret: &PassSecret, signals: [Signal; 2]) -> Result<(), FinishError> {
///     blank.finish(secret, signals[0])?;
///     blank.finish(secret, signals[1])?; // it is gone
///     Ok(())
/// }
/// ```
///
/// ```compile_fail,E0277
/// # use xmtp_prover::Blank;
/// fn copied<T: Clone>() {}
/// copied::<Blank>();
/// ```
pub struct Blank {
    facts: Facts,
    points: Coefficients,
}

/// What the proof will state, but for signal and share.
struct Facts {
    root: Root,
    external_nullifier: ExternalNullifier,
    index: Index,
    scope: Scope,
    nullifier: Nullifier,
    tag: Tag,
}

impl Facts {
    fn new(root: Root, secret: &PassSecret, external_nullifier: ExternalNullifier, index: Index, scope: Scope) -> Self {
        let nullifier = secret.nullifier(external_nullifier, index);
        Self { root, external_nullifier, index, scope, nullifier, tag: secret.tag(scope) }
    }

    /// The circuit at signal zero, whose share is *a0*: never shown.
    fn unsigned(&self, witness: &Witness<'_>) -> Result<PassCircuit, ProveError> {
        let Self { root, external_nullifier, index: _, scope, nullifier, tag } = self;
        let [root, external_nullifier, nullifier, scope, tag] =
            [root.field(), external_nullifier.field(), nullifier.field(), scope.field(), tag.field()].map(to_fr);
        witness.circuit([root, external_nullifier, Fr::zero(), witness.secret.number(), nullifier, scope, tag])
    }
}

/// A proof as a polynomial in *x*, lowest power first.
#[derive(PartialEq, Eq)]
struct Coefficients {
    a: [G1Affine; 2],
    b: [G2Affine; 2],
    c: [G1Affine; 3],
}

impl Drop for Coefficients {
    fn drop(&mut self) {
        let Self { a, b, c } = self;
        a.zeroize();
        b.zeroize();
        c.zeroize();
    }
}

/// Why a blank became no proof. The blank is gone; its index was shown to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FinishError {
    /// A proof for signal zero would be the secret itself (*y = a0*). The caller's fault.
    #[error("a signal cannot be zero")]
    ZeroSignal,
    /// The blank was made with another secret. The caller's fault, or a damaged record of the book.
    #[error("the blank was made with another secret")]
    OtherSecret,
    /// A point of the proof would be at infinity, which chance does not produce: the blank is damaged. Make another.
    #[error("the blank is damaged: a point of its proof is at infinity")]
    Damaged,
}

/// The bytes are not a blank in its one encoding: damaged on disk, or of another version. Make another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a blank stamp, or one of another version")]
pub struct MalformedBlank;

impl Blank {
    /// The length of an encoded blank.
    pub const LEN: usize = 451;

    /// Makes a blank with fresh randomness. The caller sees to it that the index has no other. [`Plate::blank`] does the
    /// same for a third of the price, to who makes several of one leaf.
    ///
    /// # Errors
    /// [`ProveError`] if there can be no such proof.
    pub fn prepare(
        key: &ProvingKey,
        witness: &Witness<'_>,
        external_nullifier: ExternalNullifier,
        scope: Scope,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, ProveError> {
        let randomness = Zeroizing::new([random(rng), random(rng)]);
        Self::blind(key, witness, external_nullifier, scope, &randomness)
    }

    /// Makes the blank with the prover's randomness. Not generic, so that it is compiled here.
    fn blind(
        key: &ProvingKey,
        witness: &Witness<'_>,
        external_nullifier: ExternalNullifier,
        scope: Scope,
        randomness: &[Fr; 2],
    ) -> Result<Self, ProveError> {
        let facts = Facts::new(witness.root()?, witness.secret, external_nullifier, witness.index, scope);
        let points = plate::at_once(key, witness, &facts, randomness)?;
        Ok(Self { facts, points })
    }

    /// The proof for a signal, with the secret that the blank was prepared with.
    ///
    /// Takes time that depends on the secret and the signal, as all of this crate does: it belongs on the owner's device.
    ///
    /// # Errors
    /// [`FinishError`].
    pub fn finish(self, secret: &PassSecret, signal: Signal) -> Result<(Statement, Proof), FinishError> {
        let Self { facts, points } = self;
        let Facts { root, external_nullifier, index, scope, nullifier, tag } = facts;
        if signal.field().is_zero() {
            return Err(FinishError::ZeroSignal);
        }
        let line = secret.line(external_nullifier, index);
        if line.nullifier() != nullifier {
            return Err(FinishError::OtherSecret);
        }
        let share = line.share(signal);
        let proof = points.at(to_fr(signal.field())).ok_or(FinishError::Damaged)?;
        Ok((Statement { root, external_nullifier, signal, share, nullifier, scope, tag }, proof))
    }

    /// Under which it states its membership.
    #[must_use]
    pub const fn root(&self) -> Root {
        self.facts.root
    }

    /// What the proof will be for.
    #[must_use]
    pub const fn external_nullifier(&self) -> ExternalNullifier {
        self.facts.external_nullifier
    }

    /// Which use of the leaf this is.
    #[must_use]
    pub const fn index(&self) -> Index {
        self.facts.index
    }

    /// Towards whom the tag is made: a nonce, if the recipient is not known yet.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        self.facts.scope
    }

    /// The index by the name that the proof will show.
    #[must_use]
    pub const fn nullifier(&self) -> Nullifier {
        self.facts.nullifier
    }

    /// The pseudonym within the scope.
    #[must_use]
    pub const fn tag(&self) -> Tag {
        self.facts.tag
    }

    /// For a store that encrypts them: one byte 1; root and external nullifier, 32 bytes each, big-endian; the index,
    /// two bytes big-endian; scope, nullifier and tag as the root; then A0, A1 (32 bytes each), B0, B1 (64), C0, C1, C2
    /// (32), compressed as in [`Proof`]. Neither *a0* nor *a1* is among them.
    #[must_use]
    pub fn to_secret_bytes(&self) -> Zeroizing<[u8; Self::LEN]> {
        let Facts { root, external_nullifier, index, scope, nullifier, tag } = &self.facts;
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        let mut rest = bytes.as_mut_slice();
        let numbers = [scope.as_bytes(), nullifier.as_bytes(), tag.as_bytes()].into_iter().map(|it| it.as_slice());
        let head = [&[FORMAT], root.as_bytes().as_slice(), external_nullifier.as_bytes(), &index.get().to_be_bytes()];
        for part in head.into_iter().chain(numbers) {
            let (field, after) = rest.split_at_mut(part.len());
            field.copy_from_slice(part);
            rest = after;
        }
        let Coefficients { a, b, c } = &self.points;
        let written = (a, b, c).serialize_compressed(&mut rest);
        written.expect("seven compressed points take what is left");
        debug_assert!(rest.is_empty());
        bytes
    }

    /// Reads what [`Self::to_secret_bytes`] wrote.
    ///
    /// # Errors
    /// [`MalformedBlank`] if the bytes are anything else, or a point is off its curve, outside its subgroup or at
    /// infinity.
    pub fn from_secret_bytes(bytes: &[u8; Self::LEN]) -> Result<Self, MalformedBlank> {
        let mut rest = bytes.as_slice();
        if take(&mut rest)? != [FORMAT] {
            return Err(MalformedBlank);
        }
        let number = |rest: &mut &[u8]| FieldElement::from_be_bytes(take(rest)?).map_err(|_| MalformedBlank);
        let root = number(&mut rest)?.into();
        let external_nullifier = number(&mut rest)?.into();
        let index = Index::new(u16::from_be_bytes(take(&mut rest)?));
        let scope = number(&mut rest)?.into();
        let nullifier = number(&mut rest)?.into();
        let tag = number(&mut rest)?.into();
        let (a, b, c) = CanonicalDeserialize::deserialize_compressed(&mut rest).map_err(|_| MalformedBlank)?;
        let points = Coefficients { a, b, c };
        let infinite =
            points.b.iter().any(G2Affine::is_zero) || points.a.iter().chain(&points.c).any(G1Affine::is_zero);
        let blank = Self { facts: Facts { root, external_nullifier, index, scope, nullifier, tag }, points };
        // Flags that the decoder is lenient about would be a second encoding.
        if infinite || *blank.to_secret_bytes() != *bytes { Err(MalformedBlank) } else { Ok(blank) }
    }
}

impl Coefficients {
    /// The proof for *x*.
    fn at(&self, x: Fr) -> Option<Proof> {
        let Self { a: [a0, a1], b: [b0, b1], c: [c0, c1, c2] } = self;
        let points = ark_groth16::Proof {
            a: (*a1 * x + a0).into_affine(),
            b: (*b1 * x + b0).into_affine(),
            c: ((*c2 * x + c1) * x + c0).into_affine(),
        };
        Proof::from_points(points).ok()
    }
}

/// Takes so many bytes off the front.
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], MalformedBlank> {
    let (front, after) = rest.split_first_chunk().ok_or(MalformedBlank)?;
    *rest = after;
    Ok(*front)
}

#[cfg(test)]
mod tests {
    use ark_ff::Field;

    use super::*;
    use crate::{
        Group, Limit,
        field::from_fr,
        leaf,
        testing::{arkworks_proof, rng},
        tree::Path,
    };

    /// A leaf among others.
    struct Member {
        key: ProvingKey,
        secret: PassSecret,
        path: Path,
    }

    const INDEX: Index = Index::new(0xa5c3);

    fn numbers() -> (ExternalNullifier, Scope, [Fr; 2]) {
        let rng = &mut rng(50);
        (FieldElement::from(11).into(), FieldElement::from(13).into(), [random(rng), random(rng)])
    }

    impl Member {
        fn new(key: ProvingKey) -> Self {
            let secret = PassSecret::from_wide_bytes(&[7; 64]).unwrap();
            let mut group = Group::new();
            group.extend((1..=20).map(|other| FieldElement::from(other).into()));
            let position = group.append(leaf(secret.commitment(), Limit::MAX));
            let path = group.bucket(&group.checkpoint(), position.volume, 0).unwrap().path(position.index).unwrap();
            Self { key, secret, path }
        }

        fn witness(&self) -> Witness<'_> {
            Witness { secret: &self.secret, limit: Limit::MAX, index: INDEX, path: &self.path }
        }

        /// With a plate and without.
        fn blanks(&self) -> [Blank; 2] {
            let (external_nullifier, scope, randomness) = numbers();
            let plate = Plate::new(&self.key, &self.secret, Limit::MAX, &self.path).unwrap();
            let with = plate.blind(external_nullifier, INDEX, scope, &randomness);
            let without = Blank::blind(&self.key, &self.witness(), external_nullifier, scope, &randomness);
            [with.unwrap(), without.unwrap()]
        }

        /// arkworks' proof for a signal with the same randomness.
        fn reference(&self, x: Fr) -> ark_groth16::Proof<ark_bn254::Bn254> {
            let (external_nullifier, scope, randomness) = numbers();
            let witness = self.witness();
            let statement = witness.statement_at(external_nullifier, from_fr(x).into(), scope).unwrap();
            arkworks_proof(&self.key, &witness.circuit(statement.numbers()).unwrap(), randomness)
        }
    }

    fn check_against_references(key: ProvingKey) {
        let member = Member::new(key);
        // The simple way: three proofs, interpolated.
        let [p0, p1, p2] = [0, 1, 2].map(|x| member.reference(Fr::from(x)));
        let c2 = (p2.c - p1.c - p1.c + p0.c) * Fr::from(2).inverse().unwrap();
        let interpolated = Coefficients {
            a: [p0.a, (p1.a - p0.a).into_affine()],
            b: [p0.b, (p1.b - p0.b).into_affine()],
            c: [p0.c, (p1.c - p0.c - c2).into_affine(), c2.into_affine()],
        };
        let xs = [Fr::from(1), Fr::from(2), -Fr::from(1), random(&mut rng(51))];
        let references = xs.map(|x| member.reference(x));
        for blank in member.blanks() {
            assert!(blank.points == interpolated);
            for (x, reference) in xs.iter().zip(&references) {
                assert_eq!(blank.points.at(*x).unwrap().points(), reference, "{x}");
            }
        }
    }

    #[test]
    fn coefficients_are_those_of_arkworks_proofs() {
        check_against_references(ProvingKey::dev().unwrap());
    }

    #[test]
    fn coefficients_are_the_same_with_tables() {
        let key = ProvingKey::dev().unwrap();
        key.precompute();
        check_against_references(key);
    }
}
