//! The proof that whoever contributed knew the number they multiplied by.

use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::CurveGroup as _;

use crate::{digest::Digest, points::same_ratio, stream::Stream};

/// A point, its multiple, and the same multiple of a challenge: a point that follows from the transcript so far and from
/// the first two, so that nobody can say how it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Knowledge {
    pub(crate) base: G1Affine,
    pub(crate) times: G1Affine,
    pub(crate) response: G2Affine,
}

impl Knowledge {
    /// Proves that the secret is known. The base is drawn from the stream.
    pub(crate) fn of(secret: &Fr, stream: &mut Stream, challenge: impl FnOnce(G1Affine, G1Affine) -> G2Affine) -> Self {
        let base = stream.g1();
        let times = (base * secret).into_affine();
        let response = (challenge(base, times) * secret).into_affine();
        Self { base, times, response }
    }

    /// Whether whoever made this knew the number.
    pub(crate) fn holds(&self, challenge: G2Affine) -> bool {
        same_ratio((self.base, self.times), (challenge, self.response))
    }

    /// Whether a point became another one by the number, given that this [holds](Self::holds).
    pub(crate) fn moved(&self, challenge: G2Affine, before: G1Affine, after: G1Affine) -> bool {
        same_ratio((before, after), (challenge, self.response))
    }

    /// [`Self::moved`] in the other group.
    pub(crate) fn moved_g2(&self, before: G2Affine, after: G2Affine) -> bool {
        same_ratio((self.base, self.times), (before, after))
    }
}

/// The challenge that follows from a transcript.
pub(crate) fn challenge(transcript: Digest) -> G2Affine {
    Stream::from_seed(&transcript.0).g2()
}
