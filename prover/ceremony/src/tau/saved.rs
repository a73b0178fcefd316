//! The saved state of a hash, which every contribution to powers of tau carries.

use crate::digest::Digest;

/// The state of BLAKE2b-512 before a contributor's proofs of knowledge go in: what is hashed behind it is the hash of the
/// response. Other tools have the compressed points in it. No library that we would use gives its state away, so ours have
/// the challenge alone, which waits in the first block while nothing is compressed yet.
#[derive(Clone)]
pub(super) struct Saved(pub(super) [u8; BYTES]);

/// A block, the chaining value, how much was compressed, how much waits in the block, and nothing.
const BYTES: usize = BLOCK + 64 + 8 + 8 + 8;
const BLOCK: usize = 128;

/// The chaining value before the first block (RFC 7693, 2.6 and 3.2): SHA-512's, and in its first word the length of the
/// digest, and that there is no key.
const UNTOUCHED: [u64; 8] = [
    0x6a09_e667_f3bc_c908 ^ 0x0101_0040,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

impl Saved {
    /// The state in which a challenge waits.
    pub(super) fn behind(challenge: Digest) -> Self {
        let mut state = [0; BYTES];
        state[..64].copy_from_slice(&challenge.0);
        for (bytes, word) in state[BLOCK..].chunks_exact_mut(8).zip(UNTOUCHED) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        state[BLOCK + 72..BLOCK + 80].copy_from_slice(&64_u64.to_le_bytes());
        Self(state)
    }

    /// What was hashed, if all of it still waits.
    pub(super) fn hashed(&self) -> Option<&[u8]> {
        let (block, rest) = self.0.split_at(BLOCK);
        let mut words = rest.chunks_exact(8).filter_map(|bytes| bytes.try_into().ok().map(u64::from_le_bytes));
        let untouched = UNTOUCHED.into_iter().all(|word| words.next() == Some(word));
        let (compressed, waiting) = (words.next()?, usize::try_from(words.next()?).ok()?);
        if untouched && compressed == 0 { block.get(..waiting) } else { None }
    }
}
