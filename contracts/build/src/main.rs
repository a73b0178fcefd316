//! Compiles the contracts and writes `contracts/artifacts/<Contract>.json`: ABI, creation bytecode, and where libraries
//! are linked into it. The artifacts are checked in, so that nobody else needs a Solidity compiler.
//!
//! `cargo run -p xmtp-contracts-build` writes them; with `--check` it writes nothing and fails if one is stale.
//! The compiler is `contracts/solc`, the settings are those of `contracts/foundry.toml`: `test/Artifacts.t.sol` holds the
//! result against what forge compiles.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    str::FromStr,
};

use foundry_compilers::{
    ProjectBuilder, ProjectPathsConfig,
    artifacts::{
        BytecodeHash, ConfigurableContractArtifact, EvmVersion, Optimizer, Remapping, Settings, SettingsMetadata,
        Severity, output_selection::OutputSelection,
    },
    error::SolcError,
    solc::{Solc, SolcCompiler, SolcSettings},
};
use serde::Deserialize;
use serde_json::{Value, json};

/// What is deployed: the file below `contracts/`, and the contract in it. Poseidon is linked into what slashes.
const CONTRACTS: [(&str, &str); 7] = [
    ("src/Claims.sol", "Claims"),
    ("src/Postage.sol", "Postage"),
    ("src/Stake.sol", "Stake"),
    ("src/XmtpToken.sol", "XmtpToken"),
    ("node_modules/poseidon-solidity/PoseidonT2.sol", "PoseidonT2"),
    // For tests of what is said about other people's contracts.
    ("test/mocks/Badges.sol", "Badges"),
    ("test/mocks/Collection.sol", "Collection"),
];

/// The compiler's reminder to clear transient storage, which OpenZeppelin's guard against re-entry does.
const TRANSIENT_STORAGE: u64 = 2394;

fn main() -> ExitCode {
    let check = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => {
            eprintln!("usage: xmtp-contracts-build [--check]");
            return ExitCode::from(64);
        }
    };
    let contracts = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match run(&contracts, check) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(contracts: &Path, check: bool) -> Result<(), Failure> {
    let contracts = contracts.canonicalize().map_err(|source| Failure::File { path: contracts.into(), source })?;
    let mut stale = Vec::new();
    for (name, artifact) in compile(&contracts)? {
        let path = contracts.join("artifacts").join(format!("{name}.json"));
        if check {
            // A missing artifact is as stale as one can be.
            if fs::read_to_string(&path).ok() != Some(artifact) {
                stale.push(name);
            }
        } else {
            fs::write(&path, artifact).map_err(|source| Failure::File { path, source })?;
        }
    }
    if stale.is_empty() { Ok(()) } else { Err(Failure::Stale(stale)) }
}

/// The artifacts by the names of their contracts, as they should stand on disk.
fn compile(contracts: &Path) -> Result<Vec<(&'static str, String)>, Failure> {
    let profile = Profile::read(&contracts.join("foundry.toml"))?;
    let solc = contracts.join(&profile.solc);
    if !contracts.join("node_modules").is_dir() {
        return Err(Failure::NotInstalled);
    }
    let paths = ProjectPathsConfig::builder()
        .sources(contracts.join("src"))
        .remappings(profile.remappings(contracts)?)
        .build_with_root(contracts);
    // Warnings fail here: what forge must overlook because of its own library, this does not.
    let project = ProjectBuilder::<SolcCompiler>::default()
        .paths(paths)
        .settings(SolcSettings { settings: profile.settings()?, ..SolcSettings::default() })
        .set_compiler_severity_filter(Severity::Warning)
        .ignore_error_code(TRANSIENT_STORAGE)
        .ephemeral()
        .no_artifacts()
        .offline()
        .build(SolcCompiler::Specific(Solc::new(solc)?))?;
    let output = project.compile_files(CONTRACTS.map(|(file, _)| contracts.join(file)))?;
    if output.has_compiler_errors() {
        return Err(Failure::Refused(output.to_string()));
    }
    let output = output.with_stripped_file_prefixes(contracts);
    CONTRACTS
        .into_iter()
        .map(|(file, name)| {
            let artifact = output.find(Path::new(file), name).ok_or(Failure::NoSuchContract(name))?;
            Ok((name, describe(name, artifact)?))
        })
        .collect()
}

/// The layout that Ethereum tools share: `abi`, `bytecode` as hex text, `linkReferences` by file and library.
fn describe(name: &'static str, artifact: &ConfigurableContractArtifact) -> Result<String, Failure> {
    let bytecode = artifact.bytecode.as_ref().ok_or(Failure::NoSuchContract(name))?;
    let described = json!({
        "contractName": name,
        "abi": serde_json::to_value(&artifact.abi)?,
        "bytecode": bytecode_text(serde_json::to_value(&bytecode.object)?),
        "linkReferences": serde_json::to_value(&bytecode.link_references)?,
    });
    Ok(serde_json::to_string_pretty(&described)? + "\n")
}

/// Hex with its prefix, whether or not there are libraries to be linked into it.
fn bytecode_text(object: Value) -> String {
    let text = object.as_str().unwrap_or_default();
    format!("0x{}", text.trim_start_matches("0x"))
}

/// What decides bytecode in `foundry.toml`.
#[derive(Deserialize)]
struct Profile {
    solc: String,
    evm_version: String,
    optimizer: bool,
    optimizer_runs: usize,
    via_ir: bool,
    bytecode_hash: String,
    cbor_metadata: bool,
    remappings: Vec<String>,
}

impl Profile {
    fn read(path: &Path) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        struct File {
            profile: Profiles,
        }
        #[derive(Deserialize)]
        struct Profiles {
            default: Profile,
        }
        let text = fs::read_to_string(path).map_err(|source| Failure::File { path: path.into(), source })?;
        let File { profile } = toml::from_str(&text)?;
        Ok(profile.default)
    }

    fn settings(&self) -> Result<Settings, Failure> {
        let Self {
            solc: _,
            evm_version,
            optimizer,
            optimizer_runs,
            via_ir,
            bytecode_hash,
            cbor_metadata,
            remappings: _,
        } = self;
        Ok(Settings {
            optimizer: Optimizer { enabled: Some(*optimizer), runs: Some(*optimizer_runs), details: None },
            metadata: Some(SettingsMetadata::new(
                BytecodeHash::from_str(bytecode_hash).map_err(Failure::Setting)?,
                *cbor_metadata,
            )),
            output_selection: OutputSelection::default_output_selection(),
            evm_version: Some(EvmVersion::from_str(evm_version).map_err(Failure::Setting)?),
            via_ir: via_ir.then_some(true),
            ..Settings::default()
        })
    }

    fn remappings(&self, root: &Path) -> Result<Vec<Remapping>, Failure> {
        self.remappings
            .iter()
            .map(|text| {
                let mut remapping = Remapping::from_str(text).map_err(|error| Failure::Setting(error.to_string()))?;
                remapping.path = root.join(&remapping.path).display().to_string();
                Ok(remapping)
            })
            .collect()
    }
}

/// Why there are no artifacts, or not the right ones.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("stale: {}; run `cargo run -p xmtp-contracts-build` and commit contracts/artifacts", .0.join(", "))]
    Stale(Vec<&'static str>),
    #[error("contracts/node_modules is missing: run `npm ci` in contracts/, or scripts/setup")]
    NotInstalled,
    #[error("the compiler refused:\n{0}")]
    Refused(String),
    #[error("there is no contract {0} where it should be")]
    NoSuchContract(&'static str),
    #[error("foundry.toml: {0}")]
    Setting(String),
    #[error("foundry.toml: {0}")]
    Profile(#[from] toml::de::Error),
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Compiler(#[from] SolcError),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}
