//! Our side: a member of a group, 2^21 places in its volume.

use std::error::Error;

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use xmtp_proto::field::{ExternalNullifier, FieldElement, Scope, Signal};
use xmtp_prover::{
    Blank, Group, Index, Limit, PassSecret, Path, Plate, Proof, ProvingKey, Statement, VerifyingKey, Witness, batch,
    leaf, prove, verify,
};

const INDEX: Index = Index::new(1);

/// What is proved, and the bytes of the proof.
pub type Proved = (Statement, [u8; Proof::LEN]);

/// The three are hashes: none has fewer bits than in earnest.
fn external_nullifier() -> ExternalNullifier {
    FieldElement::from_hash([0x5a; 32].into()).into()
}

/// Another one for every number.
fn signal(number: u64) -> Signal {
    let mut hash = [0xa5; 32];
    hash[..8].copy_from_slice(&number.to_be_bytes());
    FieldElement::from_hash(hash.into()).into()
}

fn scope() -> Scope {
    FieldElement::from_hash([0xc3; 32].into()).into()
}

/// A member that proves, and a node that verifies.
pub struct Ours {
    key: ProvingKey,
    secret: PassSecret,
    limit: Limit,
    path: Path,
    rng: ChaCha20Rng,
}

impl Ours {
    /// Makes the key and a group of eleven.
    pub fn new() -> Result<Self, Box<dyn Error>> {
        let secret = PassSecret::from_wide_bytes(&[7; 64])?;
        let limit = Limit::new(10)?;
        let mut group = Group::new();
        group.extend((1..=10).map(|other| FieldElement::from(other).into()));
        let position = group.append(leaf(secret.commitment(), limit));
        let path = group.bucket(&group.checkpoint(), position.volume, 0)?.path(position.index)?;
        Ok(Self { key: ProvingKey::dev()?, secret, limit, path, rng: ChaCha20Rng::from_seed([1; 32]) })
    }

    /// Has the key's tables made.
    pub fn precompute(&self) {
        self.key.precompute();
    }

    /// What this leaf's blanks have in common.
    pub fn plate(&self) -> Result<Plate, Box<dyn Error>> {
        Ok(Plate::new(&self.key, &self.secret, self.limit, &self.path)?)
    }

    /// From the witness without a signal to a blank.
    pub fn prepare(&mut self) -> Result<Blank, Box<dyn Error>> {
        let Self { key, secret, limit, path, rng } = self;
        let witness = Witness { secret, limit: *limit, index: INDEX, path };
        Ok(Blank::prepare(key, &witness, external_nullifier(), scope(), rng)?)
    }

    /// From the plate to a blank.
    pub fn blank(&mut self, plate: &Plate) -> Result<Blank, Box<dyn Error>> {
        Ok(plate.blank(external_nullifier(), INDEX, scope(), &mut self.rng)?)
    }

    /// From a blank to the bytes of a proof.
    pub fn finish(&self, blank: Blank) -> Result<Proved, Box<dyn Error>> {
        let (statement, proof) = blank.finish(&self.secret, signal(1))?;
        Ok((statement, proof.to_bytes()))
    }

    /// From the witness to the bytes of a proof.
    pub fn prove(&mut self) -> Result<Proved, Box<dyn Error>> {
        self.prove_for(1)
    }

    /// Proofs for as many signals. Together they reveal the secret, and a verifier does not mind.
    pub fn prove_all(&mut self, proofs: usize) -> Result<Vec<Proved>, Box<dyn Error>> {
        (1..).take(proofs).map(|number| self.prove_for(number)).collect()
    }

    fn prove_for(&mut self, number: u64) -> Result<Proved, Box<dyn Error>> {
        let Self { key, secret, limit, path, rng } = self;
        let witness = Witness { secret, limit: *limit, index: INDEX, path };
        let (statement, proof) = prove(key, &witness, external_nullifier(), signal(number), scope(), rng)?;
        Ok((statement, proof.to_bytes()))
    }

    /// From the bytes of proofs, in batches of a size, to the number of those that are refused.
    pub fn verify_all(&mut self, proofs: &[Proved], size: usize) -> usize {
        let verdicts = proofs.chunks(size).flat_map(|batch| batch::verify(VerifyingKey::dev(), batch, &mut self.rng));
        verdicts.filter(Result::is_err).count()
    }

    /// From the bytes of a proof to the verdict.
    pub fn verify(statement: &Statement, bytes: &[u8; Proof::LEN]) -> Result<(), Box<dyn Error>> {
        Ok(verify(VerifyingKey::dev(), statement, &Proof::from_bytes(bytes)?)?)
    }
}
