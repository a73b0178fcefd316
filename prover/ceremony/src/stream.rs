//! Numbers and points drawn from a seed, as iden3's tools draw them: both sides of a check must find the same.

use ark_bn254::{Fq, Fq2, FqConfig, Fr, FrConfig, G1Affine, G2Affine};
use ark_ec::AffineRepr as _;
use ark_ff::{BigInt, Fp, MontBackend, MontConfig};
use chacha20::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use zeroize::Zeroizing;

use crate::points::Point as _;

/// A seed's stream. It holds a secret where the seed is one, and wipes itself.
pub(crate) struct Stream(ChaCha20Rng);

impl Stream {
    /// The stream of the first 32 bytes.
    pub(crate) fn from_seed(seed: &[u8]) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        // The seed is eight words, big-endian, and the cipher's key is eight words, little-endian.
        for (word, bytes) in key.chunks_exact_mut(4).zip(seed.chunks_exact(4)) {
            word.copy_from_slice(bytes);
            word.reverse();
        }
        Self(ChaCha20Rng::from_seed(*key))
    }

    /// A secret number.
    pub(crate) fn secret(&mut self) -> Zeroizing<Fr> {
        Zeroizing::new(self.number::<FrConfig>())
    }

    pub(crate) fn g1(&mut self) -> G1Affine {
        loop {
            let (x, greater) = (self.number::<FqConfig>(), self.bit());
            if let Some(point) = G1Affine::with_x(x, greater) {
                return point;
            }
        }
    }

    pub(crate) fn g2(&mut self) -> G2Affine {
        loop {
            let (x, greater) = (Fq2::new(self.coordinate(), self.coordinate()), self.bit());
            if let Some(point) = G2Affine::with_x(x, greater) {
                return point.mul_by_cofactor();
            }
        }
    }

    /// A number below the modulus. Its bits are taken for its Montgomery form.
    fn number<C: MontConfig<4>>(&mut self) -> Fp<MontBackend<C, 4>, 4> {
        loop {
            let mut limbs = [0; 4];
            limbs.fill_with(|| u64::from(self.0.next_u32()) << 32 | u64::from(self.0.next_u32()));
            limbs[3] &= u64::MAX >> 2; // both moduli have 254 bits
            let number = BigInt(limbs);
            if number < C::MODULUS {
                return Fp::new_unchecked(number);
            }
        }
    }

    fn coordinate(&mut self) -> Fq {
        self.number::<FqConfig>()
    }

    fn bit(&mut self) -> bool {
        self.0.next_u32() & 1 == 1
    }
}
