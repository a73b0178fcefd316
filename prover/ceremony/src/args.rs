//! What the command line says.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use xmtp_ceremony::Name;

/// Runs a ceremony for the keys for proofs, or takes part in one.
///
/// Files are those of snarkjs, and either tool may do any step. No step changes a file: each reads one and writes another,
/// which must not exist yet.
#[derive(Parser)]
#[command(name = "xmtp-ceremony", version)]
pub(crate) struct Args {
    /// Print one JSON object instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) step: Step,
}

#[derive(Subcommand)]
pub(crate) enum Step {
    /// Write the pass circuit as a .r1cs file, for other tools.
    Circuit {
        /// The file to write.
        out: PathBuf,
    },
    /// Powers of tau: the first phase, for who does not import one.
    #[command(subcommand)]
    Tau(TauStep),
    /// Begin the circuit's phase on top of prepared powers of tau.
    New {
        /// The powers, of 2^12 or more, prepared.
        tau: PathBuf,
        /// The file to write.
        out: PathBuf,
    },
    /// Multiply a secret into the key, and forget it.
    Contribute(Contribution),
    /// Multiply a public number into the key that nobody could choose, usually last.
    Beacon {
        /// The file to contribute to.
        from: PathBuf,
        /// The file to write.
        out: PathBuf,
        /// Who looked the beacon up.
        #[arg(long)]
        name: Name,
        /// What was announced beforehand, such as a block's hash, in hexadecimal.
        #[arg(long, value_parser = hexadecimal)]
        hash: Bytes,
        /// Two to this many times it is hashed.
        #[arg(long, default_value_t = 10)]
        iterations: u8,
    },
    /// Check the whole transcript: powers of tau, circuit, every contribution.
    Verify {
        /// The powers that the key began with.
        tau: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// Verify, and write the keys that nodes and clients use.
    Finalize {
        /// The powers that the key began with.
        tau: PathBuf,
        /// The key after the last contribution.
        key: PathBuf,
        /// A folder for pass.pk, pass.vk and verification_key.json; made if it is not there.
        out: PathBuf,
    },
}

#[derive(Subcommand)]
pub(crate) enum TauStep {
    /// Begin.
    New {
        /// The file to write.
        out: PathBuf,
        /// The largest circuit has two to this many rows; the pass circuit needs 12.
        #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=20))]
        power: u32,
    },
    /// Multiply secrets into the powers, and forget them.
    Contribute(Contribution),
    /// Compute what circuits need of the powers. Anybody can, and gets the same.
    Prepare {
        /// The powers after the last contribution.
        from: PathBuf,
        /// The file to write.
        out: PathBuf,
    },
    /// Check every contribution, and the powers as far as the pass circuit needs them.
    Verify {
        /// The powers.
        tau: PathBuf,
    },
}

#[derive(clap::Args)]
pub(crate) struct Contribution {
    /// The file to contribute to.
    pub(crate) from: PathBuf,
    /// The file to write.
    pub(crate) out: PathBuf,
    /// The name under which you will publish your contribution's hash.
    #[arg(long)]
    pub(crate) name: Name,
}

/// A list that clap takes for one value.
pub(crate) type Bytes = std::sync::Arc<[u8]>;

fn hexadecimal(text: &str) -> Result<Bytes, hex::FromHexError> {
    hex::decode(text.strip_prefix("0x").unwrap_or(text)).map(Into::into)
}
