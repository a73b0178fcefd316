//! The hash of a ceremony: BLAKE2b with 64 bytes, over bytes and points.

use std::fmt;

use blake2::{Blake2b512, Digest as _};

use crate::points::Point;

/// 64 bytes: the name of a file, a circuit, a contribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub [u8; 64]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl Digest {
    /// What `b2sum` says of a file with these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Hasher::new().bytes(bytes).finish()
    }
}

#[derive(Clone)]
pub(crate) struct Hasher(Blake2b512);

impl Hasher {
    pub(crate) fn new() -> Self {
        Self(Blake2b512::new())
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update(bytes);
        self
    }

    pub(crate) fn point(self, point: &impl Point) -> Self {
        self.bytes(&point.plain())
    }

    pub(crate) fn points<P: Point>(self, points: &[P]) -> Self {
        points.iter().fold(self, Self::point)
    }

    /// Points, and before them how many there are, in four bytes big-endian.
    pub(crate) fn counted<P: Point>(self, points: &[P]) -> Self {
        let count = u32::try_from(points.len()).expect("a circuit has far fewer points");
        self.bytes(&count.to_be_bytes()).points(points)
    }

    pub(crate) fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}
