//! The steps.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use alloy_primitives::keccak256;
use xmtp_ceremony::{
    Beacon, CannotContribute, Circuit, Credit, InvalidTau, InvalidZkey, Malformed, NoEntropy, NoKeys, NotABeacon,
    NotPrepared, Seed, Tau, Zkey, prepare,
};
use zeroize::Zeroizing;

use crate::args::{Contribution, Step, TauStep};
use crate::files::{self, FileError};
use crate::report::Report;

/// More than anybody types. What is piped in beyond it is not read.
const MAX_ENTROPY_BYTES: usize = 1 << 16;

const PROVING_KEY: &str = "pass.pk";
const VERIFYING_KEY: &str = "pass.vk";
const VERIFICATION_KEY: &str = "verification_key.json";

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    InvalidTau(#[from] InvalidTau),
    #[error(transparent)]
    InvalidZkey(#[from] InvalidZkey),
    #[error(transparent)]
    NotPrepared(#[from] NotPrepared),
    #[error(transparent)]
    CannotContribute(#[from] CannotContribute),
    #[error(transparent)]
    NotABeacon(#[from] NotABeacon),
    #[error(transparent)]
    NoKeys(#[from] NoKeys),
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    #[error("cannot read what you add to the randomness")]
    Input(#[source] io::Error),
    #[error("add something of your own to the randomness: type anything, or pipe it in")]
    NothingAdded,
    #[error("cannot print")]
    Output(#[source] io::Error),
}

pub(crate) fn run(step: Step) -> Result<Report, Failure> {
    match step {
        Step::Circuit { out } => write(&out, &xmtp_prover::r1cs(), Report::default()),
        Step::Tau(TauStep::New { out, power }) => write(&out, &Tau::new(power)?.to_bytes(), Report::default()),
        Step::Tau(TauStep::Contribute(Contribution { from, out, name })) => {
            files::must_be_new(&out)?;
            let tau = files::read(&from, Tau::read)?.contribute(Credit::person(name), &seed()?)?;
            write(&out, &tau.to_bytes(), Report::default().contributions(tau.contributions()))
        }
        Step::Tau(TauStep::Prepare { from, out }) => {
            files::must_be_new(&out)?;
            let tau = files::read(&from, Tau::read)?;
            write(&out, &prepare(&tau), Report::default().contributions(tau.contributions()))
        }
        Step::Tau(TauStep::Verify { tau }) => {
            let tau = powers(&tau, &Circuit::pass())?;
            tau.verify()?;
            Ok(Report::default().contributions(tau.contributions()).verified())
        }
        Step::New { tau, out } => {
            files::must_be_new(&out)?;
            let circuit = Circuit::pass();
            let tau = powers(&tau, &circuit)?;
            tau.verify()?;
            let key = Zkey::initial(&circuit, &tau)?;
            write(&out, &key.to_bytes(&circuit), Report::default().circuit(key.circuit_hash()))
        }
        Step::Contribute(Contribution { from, out, name }) => contribute(&from, &out, Credit::person(name), seed),
        Step::Beacon { from, out, name, hash, iterations } => {
            let beacon = Beacon::new(hash.to_vec(), iterations)?;
            contribute(&from, &out, Credit::beacon(name, beacon.clone()), || Ok(beacon.seed()))
        }
        Step::Verify { tau, key } => {
            let key = verified(&tau, &key)?;
            Ok(Report::default().circuit(key.circuit_hash()).contributions(key.contributions()).verified())
        }
        Step::Finalize { tau, key, out } => {
            let [proving, verifying, verification] =
                [PROVING_KEY, VERIFYING_KEY, VERIFICATION_KEY].map(|name| out.join(name));
            [&proving, &verifying, &verification].into_iter().try_for_each(|path| files::must_be_new(path))?;
            let _folder = files::Folder::make(&out)?;
            let key = verified(&tau, &key)?;
            let keys = key.keys()?;
            let report = Report::default().circuit(key.circuit_hash()).contributions(key.contributions()).verified();
            let bytes = keys.proving.to_bytes();
            let report = write(&proving, &bytes, report.keys(keccak256(&bytes), keys.verifying.keccak()))?;
            let report = write(&verifying, &keys.verifying.to_bytes(), report)?;
            write(&verification, format!("{:#}\n", key.verification_key()).as_bytes(), report)
        }
    }
}

fn contribute(
    from: &Path,
    out: &Path,
    credit: Credit,
    seed: impl FnOnce() -> Result<Seed, Failure>,
) -> Result<Report, Failure> {
    files::must_be_new(out)?;
    let circuit = Circuit::pass();
    let key = files::read(from, |file| Zkey::read(file, &circuit))?.contribute(credit, &seed()?);
    let report = Report::default().circuit(key.circuit_hash()).contributions(key.contributions());
    write(out, &key.to_bytes(&circuit), report)
}

fn verified(tau: &Path, key: &Path) -> Result<Zkey, Failure> {
    let circuit = Circuit::pass();
    let tau = powers(tau, &circuit)?;
    let key = files::read(key, |file| Zkey::read(file, &circuit))?;
    tau.verify()?;
    key.verify(&circuit, &tau)?;
    Ok(key)
}

fn powers(path: &Path, circuit: &Circuit) -> Result<Tau, FileError> {
    files::read(path, |file| Tau::read_up_to(file, circuit.power()))
}

fn write(path: &Path, bytes: &[u8], report: Report) -> Result<Report, Failure> {
    files::write(path, bytes)?;
    Ok(report.wrote(path, bytes))
}

/// The system's randomness and the contributor's: typed unseen, or piped in, never an argument, which others see.
fn seed() -> Result<Seed, Failure> {
    let added = if io::stdin().is_terminal() {
        let prompt = "Type anything random, then Enter (it is not shown): ";
        Zeroizing::new(rpassword::prompt_password(prompt).map_err(Failure::Input)?.into_bytes())
    } else {
        piped()?
    };
    if added.iter().all(u8::is_ascii_whitespace) {
        return Err(Failure::NothingAdded);
    }
    Ok(Seed::fresh(&added)?)
}

/// What is piped in. It goes past std's buffer, which nobody wipes, into room that does not grow, so that no copy stays.
fn piped() -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut piped = Zeroizing::new(vec![0; MAX_ENTROPY_BYTES]);
    let mut stdin = io::stdin().as_fd().try_clone_to_owned().map(File::from).map_err(Failure::Input)?;
    let mut filled = 0;
    while filled < piped.len() {
        match stdin.read(&mut piped[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::Input(error)),
        }
    }
    piped.truncate(filled);
    Ok(piped)
}
