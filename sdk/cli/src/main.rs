//! `xmtp`: identities, policies, stamps and letters from the command line (README.md).
//!
//! What a command says goes to stdout: text for people, or with `--json` one JSON object. Everything else (progress,
//! notes, questions) goes to stderr. Exit status: 0 done, 1 refused or failed, 2 wrong usage.

mod args;
mod command;
mod context;
mod failure;
mod keystore;
mod output;
mod settings;
mod wallet;
mod way;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _};

use args::Args;
use command::Answer;
use failure::Failure;
use output::Output;

#[tokio::main]
async fn main() -> ExitCode {
    // The matches know where a value came from.
    let parsed = Args::command().try_get_matches().and_then(|matches| Ok((Args::from_arg_matches(&matches)?, matches)));
    let (args, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return usage(&error),
    };
    let output = Output::new(args.global.json);
    match command::run(args, &matches, &output).await {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::FAILURE,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit_status())
        }
    }
}

/// Help and version are what was asked for; all else is wrong usage, which programs want to read as JSON too.
fn usage(error: &clap::Error) -> ExitCode {
    let asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if !asked_for && std::env::args_os().any(|arg| arg == "--json") {
        let failure = Failure::usage(first_paragraph(&error.to_string()));
        Output::new(true).failure(&failure);
        return ExitCode::from(failure.exit_status());
    }
    // Nobody is left to tell if this cannot be printed.
    let _ = error.print();
    ExitCode::from(u8::from(!asked_for) * 2)
}

/// What is wrong, without the usage below it.
fn first_paragraph(message: &str) -> String {
    message.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}
