//! From the last contribution to the keys that nodes and clients use.

use ark_bn254::{Bn254, Fq, Fq2, Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::{AffineRepr as _, CurveGroup as _};
use ark_ff::Field as _;
use ark_poly::EvaluationDomain as _;
use ark_serialize::CanonicalSerialize as _;
use chacha20::{ChaCha20Rng, rand_core::SeedableRng as _};
use serde_json::{Value, json};
use xmtp_proto::field::FieldElement;
use xmtp_prover::{
    Bucket, Group, Index, Limit, MalformedKey, PassSecret, ProvingKey, VerifyingKey, Witness, leaf, prove, verify,
};

use crate::{credit::NoSecret, entropy::NoEntropy, points::domain, zkey::Zkey};

/// The keys of a finished ceremony.
pub struct Keys {
    /// For clients.
    pub proving: ProvingKey,
    /// For nodes.
    pub verifying: VerifyingKey,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum NoKeys {
    /// Everybody knows δ.
    #[error("the key: {0}")]
    NoSecret(#[from] NoSecret),
    /// The key is not one of the pass circuit.
    #[error(transparent)]
    Malformed(#[from] MalformedKey),
    /// A proof made with it does not verify.
    #[error("a proof made with this key does not verify: it is of another circuit")]
    Useless,
    /// No randomness to try it with.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}

impl Zkey {
    /// The keys, which must be of the pass circuit: a proof is made with them, and verified. [`Zkey::verify`] comes first.
    ///
    /// # Errors
    /// [`NoKeys`].
    pub fn keys(&self) -> Result<Keys, NoKeys> {
        self.require_secret()?;
        let key = ark_groth16::ProvingKey::<Bn254> {
            vk: ark_groth16::VerifyingKey {
                alpha_g1: self.alpha_g1,
                beta_g2: self.beta_g2,
                gamma_g2: self.gamma_g2,
                delta_g2: self.delta_g2,
                gamma_abc_g1: self.inputs.clone(),
            },
            beta_g1: self.beta_g1,
            delta_g1: self.delta_g1,
            a_query: self.a.clone(),
            b_g1_query: self.b_g1.clone(),
            b_g2_query: self.b_g2.clone(),
            h_query: powers(&self.quotient),
            l_query: self.private.clone(),
        };
        let mut bytes = Vec::with_capacity(key.uncompressed_size());
        key.serialize_uncompressed(&mut bytes).expect("a vector takes any number of bytes");
        let proving = ProvingKey::from_bytes(&bytes)?;
        let verifying = proving.verifying_key()?;
        let keys = Keys { proving, verifying };
        if keys.prove()?.is_some() { Ok(keys) } else { Err(NoKeys::Useless) }
    }

    /// The verifying key as snarkjs writes it.
    #[must_use]
    pub fn verification_key(&self) -> Value {
        json!({
            "protocol": "groth16",
            "curve": "bn128",
            "nPublic": self.inputs.len() - 1,
            "vk_alpha_1": g1(&self.alpha_g1),
            "vk_beta_2": g2(&self.beta_g2),
            "vk_gamma_2": g2(&self.gamma_g2),
            "vk_delta_2": g2(&self.delta_g2),
            "IC": self.inputs.iter().map(g1).collect::<Vec<_>>(),
        })
    }
}

impl Keys {
    /// A proof of something, if these keys prove and verify it.
    fn prove(&self) -> Result<Option<()>, NoEntropy> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(NoEntropy)?;
        Ok(self.prove_with(&mut ChaCha20Rng::from_seed(seed)))
    }

    fn prove_with(&self, rng: &mut ChaCha20Rng) -> Option<()> {
        let secret = PassSecret::from_wide_bytes(&[1; 64]).ok()?;
        let limit = Limit::new(1).ok()?;
        let mut group = Group::new();
        let position = group.append(leaf(secret.commitment(), limit));
        let bucket = group.bucket(&group.checkpoint(), position.volume, Bucket::index_of(position.index)).ok()?;
        let path = bucket.path(position.index).ok()?;
        let witness = Witness { secret: &secret, limit, index: Index::new(0), path: &path };
        let [external, signal, scope] = [1, 2, 3].map(FieldElement::from);
        let (statement, proof) =
            prove(&self.proving, &witness, external.into(), signal.into(), scope.into(), rng).ok()?;
        verify(&self.verifying, &statement, &proof).ok()
    }
}

/// From the Lagrange polynomials on the odd half of the doubled domain to the powers of τ times the polynomial that
/// vanishes on the domain, which arkworks divides by. On the odd half the latter is −2, so `τ^i · (τ^n − 1)` is the sum of
/// `−2 · w^((2j + 1) · i)` times the j-th polynomial, w being the root of the doubled domain.
fn powers(odd: &[G1Affine]) -> Vec<G1Affine> {
    let mut points: Vec<G1Projective> = odd.iter().map(|point| point.into_group()).collect();
    domain(odd.len()).fft_in_place(&mut points);
    // The degree of a quotient is one less than the domain's last.
    points.pop();
    let root = domain(2 * odd.len()).group_gen();
    let mut factor = -Fr::from(2);
    for point in &mut points {
        *point *= factor;
        factor *= root;
    }
    G1Projective::normalize_batch(&points)
}

fn g1(point: &G1Affine) -> Value {
    let (x, y) = point.xy().unwrap_or_default();
    json!([x.to_string(), y.to_string(), Fq::ONE.to_string()])
}

fn g2(point: &G2Affine) -> Value {
    let (x, y) = point.xy().unwrap_or_default();
    let pair = |number: Fq2| json!([number.c0.to_string(), number.c1.to_string()]);
    json!([pair(x), pair(y), pair(Fq2::ONE)])
}
