//! Verifying one proof: three pairings.

use ark_bn254::Bn254;
use ark_groth16::Groth16;

use crate::{keys::VerifyingKey, proof::Proof, statement::Statement};

/// Why a statement is not proved. The fault of who sent it; the same bytes will never do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The share for signal zero is the secret itself, so nobody honest made one.
    #[error("a signal cannot be zero")]
    ZeroSignal,
    /// The proof is not one of this statement.
    #[error("the proof does not prove the statement")]
    NotProved,
}

/// Checks that a proof proves a statement. Says nothing about whether the statement is one to accept: root, external
/// nullifier, signal and scope are the verifier's own.
///
/// # Errors
/// [`VerifyError`] if it does not.
pub fn verify(key: &VerifyingKey, statement: &Statement, proof: &Proof) -> Result<(), VerifyError> {
    if statement.signal.field().is_zero() {
        return Err(VerifyError::ZeroSignal);
    }
    let public = key.combine(&statement.numbers()) + key.one();
    match Groth16::<Bn254>::verify_proof_with_prepared_inputs(key.prepared(), proof.points(), &public) {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(VerifyError::NotProved),
    }
}
