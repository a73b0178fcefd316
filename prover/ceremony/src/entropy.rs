//! Where a contributor's secrets come from.

use ark_bn254::Fr;
use zeroize::Zeroizing;

use crate::{digest::Hasher, stream::Stream};

/// What all secrets of one contribution are drawn from. Wiped when it goes.
pub struct Seed(Zeroizing<[u8; 64]>);

/// The system has no random bytes to give. For its owner to mend.
#[derive(Debug, thiserror::Error)]
#[error("the system has no random bytes")]
pub struct NoEntropy(#[source] pub(crate) getrandom::Error);

impl Seed {
    /// Fresh bytes of the system's, and with them whatever the contributor adds: it can only help.
    ///
    /// # Errors
    /// [`NoEntropy`].
    pub fn fresh(added: &[u8]) -> Result<Self, NoEntropy> {
        let mut fresh = Zeroizing::new([0; 64]);
        getrandom::fill(fresh.as_mut_slice()).map_err(NoEntropy)?;
        Ok(Self::known(Hasher::new().bytes(fresh.as_slice()).bytes(added).finish().0))
    }

    /// A seed that others know: a beacon's.
    pub(crate) fn known(seed: [u8; 64]) -> Self {
        Self(Zeroizing::new(seed))
    }

    pub(crate) fn stream(&self) -> Stream {
        Stream::from_seed(self.0.as_slice())
    }
}

/// Weights for a check, which nobody can know beforehand.
pub(crate) struct Random(Stream);

impl Random {
    pub(crate) fn new() -> Result<Self, NoEntropy> {
        Ok(Self(Seed::fresh(&[])?.stream()))
    }

    pub(crate) fn numbers(&mut self, count: usize) -> Vec<Fr> {
        (0..count).map(|_| *self.0.secret()).collect()
    }
}
