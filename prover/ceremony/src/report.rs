//! What a step did: hashes, above all.

use std::io::Write as _;
use std::path::Path;

use alloy_primitives::B256;
use serde::Serialize;
use xmtp_ceremony::{Credit, Digest};

use crate::step::Failure;

#[derive(Default, Serialize)]
pub(crate) struct Report {
    /// The hash of circuit and powers of tau.
    #[serde(skip_serializing_if = "Option::is_none")]
    circuit_hash: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contributions: Vec<Contribution>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<Written>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Keys>,
}

#[derive(Serialize)]
struct Contribution {
    number: usize,
    name: String,
    beacon: bool,
    hash: String,
}

#[derive(Serialize)]
struct Written {
    path: String,
    blake2b: String,
}

/// Keccak hashes, by which nodes and clients name keys.
#[derive(Serialize)]
struct Keys {
    proving_key: String,
    verifying_key: String,
}

impl Report {
    pub(crate) fn circuit(mut self, hash: Digest) -> Self {
        self.circuit_hash = Some(hash.to_string());
        self
    }

    pub(crate) fn contributions<'a>(mut self, all: impl Iterator<Item = (&'a Credit, Digest)>) -> Self {
        self.contributions = (1..)
            .zip(all)
            .map(|(number, (credit, hash))| Contribution {
                number,
                name: credit.name.to_string(),
                beacon: credit.beacon.is_some(),
                hash: hash.to_string(),
            })
            .collect();
        self
    }

    pub(crate) fn verified(mut self) -> Self {
        self.verified = Some(true);
        self
    }

    pub(crate) fn wrote(mut self, path: &Path, bytes: &[u8]) -> Self {
        self.files.push(Written { path: path.display().to_string(), blake2b: Digest::of(bytes).to_string() });
        self
    }

    pub(crate) fn keys(mut self, proving_key: B256, verifying_key: B256) -> Self {
        self.keys = Some(Keys { proving_key: proving_key.to_string(), verifying_key: verifying_key.to_string() });
        self
    }

    pub(crate) fn say(&self, json: bool) -> Result<(), Failure> {
        let text = if json {
            serde_json::to_string(self).map_err(|error| Failure::Output(error.into()))?
        } else {
            self.text()
        };
        writeln!(std::io::stdout(), "{}", text.trim_end()).map_err(Failure::Output)
    }

    fn text(&self) -> String {
        let mut lines = Vec::new();
        if let Some(hash) = &self.circuit_hash {
            lines.push(format!("circuit and powers of tau\n  {hash}"));
        }
        for Contribution { number, name, beacon, hash } in &self.contributions {
            let kind = if *beacon { "beacon" } else { "contribution" };
            lines.push(format!("{kind} {number}, {name}\n  {hash}"));
        }
        if self.verified == Some(true) {
            lines.push("verified".to_owned());
        }
        for Written { path, blake2b } in &self.files {
            lines.push(format!("wrote {path}\n  blake2b {blake2b}"));
        }
        if let Some(Keys { proving_key, verifying_key }) = &self.keys {
            lines.push(format!("proving key\n  keccak {proving_key}\nverifying key\n  keccak {verifying_key}"));
        }
        lines.join("\n")
    }
}
