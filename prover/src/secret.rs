//! Pass secrets and what follows from them (docs/protocol.md, "The pass circuit").
//!
//! `Pn` is Poseidon with n inputs: `C = P1(a0)`, `leaf = P2(C, limit)`, `a1 = P3(a0, external nullifier, index)`,
//! `y = a0 + a1·x`, `nullifier = P1(a1)`, `tag = P2(a0, scope)`. The circuit says the same in rows.

use ark_bn254::Fr;
use ark_ff::{Field, Zero};
use xmtp_proto::field::{Commitment, ExternalNullifier, FieldElement, Leaf, Nullifier, Scope, Share, Signal, Tag};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::{
    field::{from_fr, reduce_wide, to_be_bytes, to_fr},
    parallel::fill,
    poseidon::hash,
};

/// The secret *a0* of a book, a stake, a claim or a membership. Wiped when dropped; it cannot be printed or cloned.
///
/// Who knows it can use every index that is left, and slash the book or stake.
#[derive(ZeroizeOnDrop)]
pub struct PassSecret(Fr);

/// Zero is no secret: everybody knows its commitment. Derive another one; chance does not produce it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pass secret cannot be zero")]
pub struct ZeroSecret;

/// Two shares that prove nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEvidence {
    /// Both shares are for one signal: the same envelope twice, which is nobody's fault.
    #[error("both shares are for the same signal")]
    SameSignal,
    /// The shares lie on a line through the origin. No secret is zero, so they do not belong together.
    #[error("the shares do not belong to one secret")]
    NoSecret,
}

impl PassSecret {
    /// Reduces 64 uniformly random big-endian bytes (an HKDF output, for instance) into the field.
    ///
    /// # Errors
    /// [`ZeroSecret`] if the bytes are a multiple of the modulus.
    pub fn from_wide_bytes(bytes: &[u8; 64]) -> Result<Self, ZeroSecret> {
        let secret = Self(reduce_wide(bytes));
        if secret.0.is_zero() { Err(ZeroSecret) } else { Ok(secret) }
    }

    /// 32 bytes, big-endian: what a slash hands to the contract.
    #[must_use]
    pub fn to_be_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(to_be_bytes(&self.0))
    }

    /// *C*, which the chain or a bundle may know.
    #[must_use]
    pub fn commitment(&self) -> Commitment {
        from_fr(hash(&[self.0])).into()
    }

    /// The name of one index under one external nullifier, unknown to others until it is used.
    #[must_use]
    pub fn nullifier(&self, external_nullifier: ExternalNullifier, index: Index) -> Nullifier {
        self.line(external_nullifier, index).nullifier()
    }

    /// The share *y* for a signal. A second signal under the same external nullifier and index gives the secret away.
    #[must_use]
    pub fn share(&self, external_nullifier: ExternalNullifier, index: Index, signal: Signal) -> Share {
        self.line(external_nullifier, index).share(signal)
    }

    /// The pseudonym within a scope.
    #[must_use]
    pub fn tag(&self, scope: Scope) -> Tag {
        from_fr(hash(&[self.0, to_fr(scope.field())])).into()
    }

    /// The number itself, for the circuit.
    pub(crate) fn number(&self) -> Fr {
        self.0
    }

    /// For who keeps it as carefully.
    pub(crate) fn copy(&self) -> Self {
        Self(self.0)
    }

    /// The line on which the shares of an index lie.
    pub(crate) fn line(&self, external_nullifier: ExternalNullifier, index: Index) -> Line {
        let slope = hash(&[self.0, to_fr(external_nullifier.field()), Fr::from(index.get())]);
        Line { secret: self.0, slope }
    }
}

/// `y = a0 + a1·x`: the shares of one index under one external nullifier.
#[derive(ZeroizeOnDrop)]
pub(crate) struct Line {
    /// *a0*.
    secret: Fr,
    /// *a1*: as secret as *a0* once a share is known.
    slope: Fr,
}

impl Line {
    pub(crate) fn share(&self, signal: Signal) -> Share {
        from_fr(self.secret + self.slope * to_fr(signal.field())).into()
    }

    pub(crate) fn nullifier(&self) -> Nullifier {
        from_fr(hash(&[self.slope])).into()
    }
}

/// The secret behind two shares of one nullifier with different signals.
///
/// Any two points lie on a line, so the caller compares the commitment with the one it suspects.
///
/// # Errors
/// [`NotEvidence`] if the signals are equal or the line gives no secret.
pub fn recover(first: (Signal, Share), second: (Signal, Share)) -> Result<PassSecret, NotEvidence> {
    let [x1, y1] = [to_fr(first.0.field()), to_fr(first.1.field())];
    let [x2, y2] = [to_fr(second.0.field()), to_fr(second.1.field())];
    let run = (x1 - x2).inverse().ok_or(NotEvidence::SameSignal)?;
    let slope = Zeroizing::new((y1 - y2) * run);
    let secret = PassSecret(y1 - *slope * x1);
    if secret.0.is_zero() { Err(NotEvidence::NoSecret) } else { Ok(secret) }
}

/// How many indices a leaf has (per epoch, where there are epochs): 1 to 65,536.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Limit(u32);

/// The limit is not in 1 to 65,536. The circuit would not refuse it; who admits a leaf has to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a limit lies between 1 and 65,536")]
pub struct LimitOutOfRange;

impl Limit {
    /// The largest limit: 2^16.
    pub const MAX: Self = Self(1 << 16);

    /// A limit.
    ///
    /// # Errors
    /// [`LimitOutOfRange`] unless it lies between 1 and 65,536.
    pub const fn new(limit: u32) -> Result<Self, LimitOutOfRange> {
        if limit == 0 || limit > Self::MAX.0 { Err(LimitOutOfRange) } else { Ok(Self(limit)) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// Which of a leaf's uses this is, counted from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index(u16);

impl Index {
    /// An index; whether it is below the limit is asked when it is used.
    #[must_use]
    pub const fn new(index: u16) -> Self {
        Self(index)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// The leaf of a member: its commitment bound to its limit.
#[must_use]
pub fn leaf(commitment: Commitment, limit: Limit) -> Leaf {
    from_fr(hash(&[to_fr(commitment.field()), Fr::from(limit.get())])).into()
}

/// The leaves of many members, on as many cores as the machine has, up to eight; zero where there is none.
#[must_use]
pub fn leaves(members: &[Option<(Commitment, Limit)>]) -> Vec<Leaf> {
    let mut leaves = vec![FieldElement::ZERO.into(); members.len()];
    fill(&mut leaves, |index| match members[index] {
        Some((commitment, limit)) => leaf(commitment, limit),
        None => FieldElement::ZERO.into(),
    });
    leaves
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> PassSecret {
        PassSecret::from_wide_bytes(&[42; 64]).unwrap()
    }

    fn share_for(signal: u64, index: u16) -> (Signal, Share) {
        let signal = FieldElement::from(signal).into();
        (signal, secret().share(FieldElement::from(7).into(), Index::new(index), signal))
    }

    #[test]
    fn two_signals_for_one_index_reveal_the_secret() {
        let recovered = recover(share_for(1, 3), share_for(2, 3)).unwrap();
        assert_eq!(*recovered.to_be_bytes(), *secret().to_be_bytes());
        assert_eq!(recovered.commitment(), secret().commitment());
    }

    #[test]
    fn one_signal_for_two_indices_reveals_nothing() {
        let recovered = recover(share_for(1, 3), share_for(2, 4)).unwrap();
        assert_ne!(recovered.commitment(), secret().commitment());
    }

    #[test]
    fn the_same_signal_twice_is_no_evidence() {
        assert_eq!(recover(share_for(1, 3), share_for(1, 3)).err(), Some(NotEvidence::SameSignal));
        // Not even with shares that differ: one of them is made up.
        assert_eq!(recover(share_for(1, 3), share_for(1, 4)).err(), Some(NotEvidence::SameSignal));
    }

    #[test]
    fn shares_on_a_line_through_the_origin_are_no_evidence() {
        let point = |x: u64, y: u64| (FieldElement::from(x).into(), FieldElement::from(y).into());
        assert_eq!(recover(point(1, 5), point(2, 10)).err(), Some(NotEvidence::NoSecret));
    }

    #[test]
    fn bytes_that_reduce_to_zero_are_no_secret() {
        assert_eq!(PassSecret::from_wide_bytes(&[0; 64]).err(), Some(ZeroSecret));
        let mut modulus = [0; 64];
        modulus[32..].copy_from_slice(&xmtp_proto::field::MODULUS);
        assert_eq!(PassSecret::from_wide_bytes(&modulus).err(), Some(ZeroSecret));
        modulus[63] += 1;
        let mut one = [0; 32];
        one[31] = 1;
        assert_eq!(*PassSecret::from_wide_bytes(&modulus).unwrap().to_be_bytes(), one);
    }

    #[test]
    fn wide_bytes_are_big_endian_and_all_of_them_count() {
        for byte in 0..64 {
            let mut bytes = [42; 64];
            bytes[byte] ^= 1;
            let other = PassSecret::from_wide_bytes(&bytes).unwrap();
            assert_ne!(other.commitment(), secret().commitment(), "byte {byte}");
        }
    }

    #[test]
    fn leaves_by_the_thousand_are_those_of_one_at_a_time() {
        let member = |number: u64| (FieldElement::from(number).into(), Limit::MAX);
        let members: Vec<_> = (0..2_000).map(|number| (number % 7 != 0).then(|| member(number))).collect();
        for (member, it) in members.iter().zip(leaves(&members)) {
            let expected =
                member.map_or_else(|| FieldElement::ZERO.into(), |(commitment, limit)| leaf(commitment, limit));
            assert_eq!(it, expected);
        }
    }

    #[test]
    fn limits_lie_between_one_and_two_to_the_sixteenth() {
        for (limit, expected) in [(0, false), (1, true), (1 << 16, true), ((1 << 16) + 1, false), (u32::MAX, false)] {
            assert_eq!(Limit::new(limit).is_ok(), expected, "{limit}");
        }
    }
}
