//! `xmtp-ceremony`: a ceremony for the keys for proofs, step by step (docs/ceremony.md).
//!
//! What a step did goes to stdout, as text or with `--json` as one JSON object; progress and questions go to stderr. Exit
//! status: 0 done, 1 refused or failed, 2 wrong usage.

mod args;
mod files;
mod report;
mod step;

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use args::Args;

fn main() -> ExitCode {
    let Args { json, step } = Args::parse();
    match step::run(step).and_then(|report| report.say(json)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let mut message = failure.to_string();
            let mut reason = failure.source();
            while let Some(error) = reason {
                message.push_str(&format!(": {error}"));
                reason = error.source();
            }
            // A failure that cannot be printed leaves its exit status.
            let _ = if json {
                writeln!(std::io::stdout(), "{}", serde_json::json!({ "error": message }))
            } else {
                writeln!(std::io::stderr(), "error: {message}")
            };
            ExitCode::FAILURE
        }
    }
}
