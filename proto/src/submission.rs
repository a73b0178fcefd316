//! Submissions: an envelope and its passes, as a client sends them and a log keeps them.

use crate::envelope::Envelope;
use crate::field::Nullifier;
use crate::malformed::{Malformed, bounded, required};
use crate::pass::Pass;
use crate::wire;

/// The most passes on one submission.
pub const MAX_PASSES: usize = 8;
/// The most stamps among them.
pub const MAX_STAMPS: usize = 4;
/// The most submissions in one call.
pub const MAX_PER_CALL: usize = 64;
/// The most bytes of one call.
pub const MAX_CALL_BYTES: usize = 4 << 20;

/// An envelope and its passes, whose nullifiers are pairwise distinct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    envelope: Envelope,
    passes: Vec<Pass>,
}

impl Submission {
    /// Puts an envelope and its passes together.
    ///
    /// # Errors
    /// [`Malformed`] for more than [`MAX_PASSES`], more than [`MAX_STAMPS`], or a nullifier that occurs twice.
    pub fn new(envelope: Envelope, passes: Vec<Pass>) -> Result<Self, Malformed> {
        bounded("passes", passes.len(), MAX_PASSES)?;
        bounded("stamps", passes.iter().filter(|pass| matches!(pass, Pass::Stamp(_))).count(), MAX_STAMPS)?;
        let mut seen: Vec<Nullifier> = Vec::with_capacity(passes.len());
        for nullifier in passes.iter().filter_map(Pass::nullifier) {
            if seen.contains(&nullifier) {
                return Err(Malformed::RepeatedNullifier);
            }
            seen.push(nullifier);
        }
        Ok(Self { envelope, passes })
    }

    /// The envelope.
    #[must_use]
    pub const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Its passes, in the order they were attached.
    #[must_use]
    pub fn passes(&self) -> &[Pass] {
        &self.passes
    }
}

impl TryFrom<wire::Submission> for Submission {
    type Error = Malformed;

    fn try_from(wire: wire::Submission) -> Result<Self, Malformed> {
        let wire::Submission { envelope, passes } = wire;
        bounded("passes", passes.len(), MAX_PASSES)?;
        let envelope = required("envelope", envelope)?.try_into()?;
        let passes = passes.into_iter().map(Pass::try_from).collect::<Result<_, _>>()?;
        Self::new(envelope, passes)
    }
}

impl From<Submission> for wire::Submission {
    fn from(it: Submission) -> Self {
        let Submission { envelope, passes } = it;
        Self { envelope: Some(envelope.into()), passes: passes.into_iter().map(Into::into).collect() }
    }
}
