//! The ceremony that makes the keys for proofs (docs/ceremony.md; docs/protocol.md, "Keys for proofs").
//!
//! Groth16 needs a proving key made with numbers that nobody may know. A ceremony makes it so that they are known only if
//! *every* contributor kept theirs, or all of them were one. It has two phases: powers of tau, which any circuit can
//! use ([`Tau`], a `.ptau` file), and on top of them the phase of one circuit ([`Zkey`], a `.zkey` file). Files and hashes are
//! those of iden3's tools (snarkjs), so that contributors and verifiers may use either.
//!
//! | module | what it holds |
//! |---|---|
//! | `circuit` | the rows, from a `.r1cs` file |
//! | `tau`, `zkey` | the two phases: beginning, contributing, verifying |
//! | `finish` | the last file's proving and verifying key |
//! | `knowledge`, `credit` | what every contribution has: a proof that its number is known, and whose it is |
//! | `file`, `numbers`, `points`, `digest`, `stream` | iden3's encodings and how it draws numbers |
//! | `entropy` | the system's randomness |
//!
//! A plain library but for `entropy`: files come as readers and go as bytes. The command beside it reads and writes them.

mod circuit;
mod credit;
mod digest;
mod entropy;
mod file;
mod finish;
mod knowledge;
mod numbers;
mod points;
mod stream;
mod tau;
mod zkey;

pub use circuit::Circuit;
pub use credit::{Beacon, Credit, Name, NoSecret, NotABeacon, NotAName};
pub use digest::Digest;
pub use entropy::{NoEntropy, Seed};
pub use file::{Malformed, ReadError};
pub use finish::{Keys, NoKeys};
pub use tau::{CannotContribute, InvalidTau, Part, Tau, TauFault, prepare};
pub use zkey::{Fault, InvalidZkey, NotPrepared, Place, Zkey};
