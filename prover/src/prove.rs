//! Making a proof: the statement natively, the values of the circuit's variables, then Groth16.

use ark_bn254::Fr;
use rand_chacha::rand_core::CryptoRng;
use xmtp_proto::field::{ExternalNullifier, Root, Scope, Signal};
use zeroize::Zeroizing;

use crate::{
    circuit::{PassCircuit, bits},
    field::random,
    keys::ProvingKey,
    proof::Proof,
    secret::{Index, Limit, PassSecret, leaf},
    statement::Statement,
    tree::{BrokenPath, Path},
    values::values,
};

/// What only the owner of a leaf knows, and where the leaf is.
pub struct Witness<'a> {
    /// The secret *a0*.
    pub secret: &'a PassSecret,
    /// The limit in the leaf.
    pub limit: Limit,
    /// Which use this is.
    pub index: Index,
    /// The path of the leaf.
    pub path: &'a Path,
}

/// Why there is no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProveError {
    /// A proof for signal zero would be the secret itself (*y = a0*). The caller's fault.
    #[error("a signal cannot be zero")]
    ZeroSignal,
    /// The leaf has no such use. The caller's fault.
    #[error("the index is not below the limit")]
    IndexAboveLimit,
    /// The path is not this leaf's: of another secret or limit, or from a wrong bucket.
    #[error(transparent)]
    Path(#[from] BrokenPath),
    /// The proving key is not one of this circuit. The fault of where it came from.
    #[error("the proving key does not fit the circuit")]
    Key,
}

impl Witness<'_> {
    /// What a proof with this witness will state.
    ///
    /// # Errors
    /// [`ProveError`] if there can be no such proof.
    pub fn statement(
        &self,
        external_nullifier: ExternalNullifier,
        signal: Signal,
        scope: Scope,
    ) -> Result<Statement, ProveError> {
        if signal.field().is_zero() {
            Err(ProveError::ZeroSignal)
        } else {
            self.statement_at(external_nullifier, signal, scope)
        }
    }

    /// The root to which the path leads from the leaf of secret and limit.
    pub(crate) fn root(&self) -> Result<Root, BrokenPath> {
        self.path.root_of(leaf(self.secret.commitment(), self.limit))
    }

    /// The same for any signal, zero among them.
    pub(crate) fn statement_at(
        &self,
        external_nullifier: ExternalNullifier,
        signal: Signal,
        scope: Scope,
    ) -> Result<Statement, ProveError> {
        let Self { secret, limit, index, path: _ } = self;
        if u32::from(index.get()) >= limit.get() {
            return Err(ProveError::IndexAboveLimit);
        }
        let line = secret.line(external_nullifier, *index);
        Ok(Statement {
            root: self.root()?,
            external_nullifier,
            signal,
            share: line.share(signal),
            nullifier: line.nullifier(),
            scope,
            tag: secret.tag(scope),
        })
    }

    /// The circuit's values for public inputs that are true of this witness.
    pub(crate) fn circuit(&self, public: [Fr; 7]) -> Result<PassCircuit, ProveError> {
        let Self { secret, limit, index, path } = self;
        let slack = (limit.get() - 1).checked_sub(index.get().into()).ok_or(ProveError::IndexAboveLimit)?;
        Ok(PassCircuit {
            public,
            secret: secret.number(),
            index: bits(index.get()),
            slack: bits(u16::try_from(slack).map_err(|_| ProveError::IndexAboveLimit)?),
            path: path.numbers(),
        })
    }
}

/// Uses an index of a leaf for a signal, and proves it.
///
/// The caller sees to it that no index is ever used for two signals: two shares reveal the secret. Takes time that
/// depends on the secret, so nobody else may measure it.
///
/// Wipes what it holds that would open the proof: the secret's copies, the prover's randomness, the values of the
/// variables and what they are cut into, sums of points before they are blinded. What the arithmetic passes by value stays
/// on the stack until something else is there. `rng` has made the randomness and can make it again as long as its state
/// is there: let it be one that wipes itself, such as `chacha20::ChaCha20Rng`.
///
/// # Errors
/// [`ProveError`] if the statement would be false, or the key belongs to another circuit.
pub fn prove(
    key: &ProvingKey,
    witness: &Witness<'_>,
    external_nullifier: ExternalNullifier,
    signal: Signal,
    scope: Scope,
    rng: &mut impl CryptoRng,
) -> Result<(Statement, Proof), ProveError> {
    let statement = witness.statement(external_nullifier, signal, scope)?;
    let randomness = Zeroizing::new([random(rng), random(rng)]);
    let proof = blind(key, witness, &statement, &randomness)?;
    Ok((statement, proof))
}

/// Makes the proof with the prover's randomness. Not generic, so that it is compiled here, optimised, and not in whatever
/// crate calls with a generator of its own.
fn blind(
    key: &ProvingKey,
    witness: &Witness<'_>,
    statement: &Statement,
    randomness: &[Fr; 2],
) -> Result<Proof, ProveError> {
    let values = values(&witness.circuit(statement.numbers())?);
    let points = key.queries().prove(&values, randomness);
    Proof::from_points(points).map_err(|_| ProveError::Key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sample, arkworks_proof, rng};

    #[test]
    fn proof_is_arkworks_for_the_same_randomness_with_tables_and_without() {
        let key = ProvingKey::dev().unwrap();
        let rng = &mut rng(60);
        let circuit = Sample::honest(rng).circuit(rng);
        let randomness = [random(rng), random(rng)];
        let expected = arkworks_proof(&key, &circuit, randomness);
        assert_eq!(key.queries().prove(&values(&circuit), &randomness), expected);
        key.precompute();
        assert!(key.queries().tables.is_some());
        assert_eq!(key.queries().prove(&values(&circuit), &randomness), expected);
    }
}
