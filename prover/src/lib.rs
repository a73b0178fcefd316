//! The pass circuit, its keys, the trees of groups, proofs and their verification (docs/protocol.md, "The pass
//! circuit", "Groups and their roots", "Keys for proofs").
//!
//! | module | what it holds |
//! |---|---|
//! | `secret` | pass secrets and what follows from them: commitment, leaf, share, nullifier, tag; recovery from two shares |
//! | [`tree`] | groups as nodes keep them, the buckets they serve, the paths that clients prove with |
//! | `statement`, `circuit` | what a proof states, and the rows that say so |
//! | `poseidon` | the hash, natively and as rows |
//! | `parallel` | hashes by the thousand |
//! | `keys`, `key_file` | proving and verifying keys; development keys from a seed, a ceremony's from files |
//! | `proof`, `prove`, `verify` | a proof's bytes, how it is made, how it is checked |
//! | [`batch`] | many of them checked at once, at a fraction of the cost |
//! | `values`, `quotient`, `msm`, `groth16` | the prover: what the variables are, what it divides, what it multiplies |
//! | [`frank`] | proofs made ahead of time, but for the signal |
//! | `r1cs` | the circuit as a file, for the ceremony |
//!
//! Everything here is a plain function of its arguments: no clock, no network, and no randomness but the caller's.
//! Values that cross the crate's edge are the protocol's ([`xmtp_proto::field`]); arkworks stays inside.
//!
//! ```
//! # use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
//! # use xmtp_proto::field::{ExternalNullifier, FieldElement, Scope, Signal};
//! use xmtp_prover::{Bucket, Group, Index, Limit, PassSecret, ProvingKey, VerifyingKey, Witness, leaf, prove, verify};
//!
//! // A buyer's secret, and the leaf that the chain announces for it.
//! let secret = PassSecret::from_wide_bytes(&[7; 64])?;
//! let limit = Limit::new(100)?;
//! let mut group = Group::new();
//! let position = group.append(leaf(secret.commitment(), limit));
//!
//! // A node serves the bucket as of a checkpoint; the buyer finds its path and checks the root.
//! let checkpoint = group.checkpoint();
//! let bucket = group.bucket(&checkpoint, position.volume, Bucket::index_of(position.index))?;
//! let path = bucket.path(position.index)?;
//!
//! let witness = Witness { secret: &secret, limit, index: Index::new(0), path: &path };
//! let external_nullifier = ExternalNullifier::from(FieldElement::from(1));
//! let (signal, scope) = (Signal::from(FieldElement::from(2)), Scope::from(FieldElement::from(3)));
//! # let mut rng = ChaCha20Rng::from_seed([1; 32]);
//! let (statement, proof) = prove(&ProvingKey::dev()?, &witness, external_nullifier, signal, scope, &mut rng)?;
//!
//! assert_eq!(statement.root, checkpoint.volumes()[0].root);
//! verify(VerifyingKey::dev(), &statement, &proof)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod batch;
mod circuit;
mod field;
pub mod frank;
mod groth16;
mod key_file;
mod keys;
mod msm;
mod parallel;
mod poseidon;
mod proof;
mod prove;
mod quotient;
mod r1cs;
mod secret;
mod shape;
mod statement;
#[cfg(test)]
mod testing;
pub mod tree;
mod values;
mod verify;
mod wire;

pub use circuit::MAX_ROWS;
pub use frank::{Blank, FinishError, MalformedBlank, Plate};
pub use key_file::KeyFileError;
pub use keys::{DevKeyError, MalformedKey, ProvingKey, VerifyingKey};
pub use proof::{MalformedProof, Proof};
pub use prove::{ProveError, Witness, prove};
pub use r1cs::r1cs;
pub use secret::{Index, Limit, LimitOutOfRange, NotEvidence, PassSecret, ZeroSecret, leaf, leaves, recover};
pub use shape::{Size, size};
pub use statement::Statement;
pub use tree::{Bucket, Checkpoint, Group, Path, Position, Version};
pub use verify::{VerifyError, verify};
