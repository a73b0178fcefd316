//! Making a proof: the statement natively, the values of the circuit's variables, then Groth16.

use ark_bn254::{Bn254, Fr};
use ark_groth16::Groth16;
use ark_relations::gr1cs::{ConstraintSynthesizer, ConstraintSystem, SynthesisError, SynthesisMode};
use rand_chacha::rand_core::CryptoRng;
use xmtp_proto::field::{ExternalNullifier, Scope, Signal};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    circuit::{PassCircuit, bits},
    field::random,
    keys::ProvingKey,
    proof::Proof,
    secret::{Index, Limit, PassSecret, leaf},
    shape::{PUBLIC, SHAPE},
    statement::Statement,
    tree::{BrokenPath, Path},
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
        let Self { secret, limit, index, path } = self;
        if signal.field().is_zero() {
            return Err(ProveError::ZeroSignal);
        }
        if u32::from(index.get()) >= limit.get() {
            return Err(ProveError::IndexAboveLimit);
        }
        Ok(Statement {
            root: path.root_of(leaf(secret.commitment(), *limit))?,
            external_nullifier,
            signal,
            share: secret.share(external_nullifier, *index, signal),
            nullifier: secret.nullifier(external_nullifier, *index),
            scope,
            tag: secret.tag(scope),
        })
    }

    /// The circuit's values for a statement of this witness.
    pub(crate) fn circuit(&self, statement: &Statement) -> Result<PassCircuit, ProveError> {
        let Self { secret, limit, index, path } = self;
        let slack = (limit.get() - 1).checked_sub(index.get().into()).ok_or(ProveError::IndexAboveLimit)?;
        Ok(PassCircuit {
            public: statement.numbers(),
            secret: secret.number(),
            index: bits(index.get()),
            slack: bits(u16::try_from(slack).map_err(|_| ProveError::IndexAboveLimit)?),
            path: path.numbers(),
        })
    }
}

/// Uses an index of a leaf for a signal, and proves it.
///
/// The caller sees to it that no index is ever used for two signals: two shares reveal the secret. Wipes the secret
/// from its own memory; arkworks leaves copies of products of it in freed memory.
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
    let proof = blind(key, witness, &statement, [random(rng), random(rng)])?;
    Ok((statement, proof))
}

/// Makes the proof with the prover's randomness. Not generic, so that it is compiled here, optimised, and not in whatever
/// crate calls with a generator of its own.
fn blind(key: &ProvingKey, witness: &Witness<'_>, statement: &Statement, [r, s]: [Fr; 2]) -> Result<Proof, ProveError> {
    let assignment = assign(&witness.circuit(statement)?).map_err(|_| ProveError::Key)?;
    let points = Groth16::<Bn254>::create_proof_with_reduction_and_matrices(
        key.points(),
        r,
        s,
        &SHAPE.matrices,
        PUBLIC,
        SHAPE.constraints,
        &assignment,
    )
    .map_err(|_| ProveError::Key)?;
    Proof::from_points(points).map_err(|_| ProveError::Key)
}

/// The values of all variables, public ones first.
pub(crate) fn assign(circuit: &PassCircuit) -> Result<Zeroizing<Vec<Fr>>, SynthesisError> {
    let cs = ConstraintSystem::new_ref();
    cs.set_mode(SynthesisMode::Prove { construct_matrices: false, generate_lc_assignments: false });
    circuit.generate_constraints(cs.clone())?;
    let mut assignments = cs.into_inner().ok_or(SynthesisError::MissingCS)?.assignments;
    // Room for all of them at once, so that growing leaves no copy behind.
    let mut all = Zeroizing::new(Vec::with_capacity(PUBLIC + assignments.witness_assignment.len()));
    all.extend_from_slice(&assignments.instance_assignment);
    all.extend_from_slice(&assignments.witness_assignment);
    assignments.witness_assignment.zeroize();
    Ok(all)
}
