//! `xmtp completions` and `xmtp man`: the command line, described for shells and for people.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Args;
use crate::failure::Failure;

pub(super) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "xmtp", &mut script);
    print(&script)
}

/// The page of the whole command to stdout, or a page per command into a folder.
pub(super) fn pages(folder: Option<PathBuf>) -> Result<(), Failure> {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Args::command()).render(&mut page).map_err(failed)?;
        return print(&page);
    };
    std::fs::create_dir_all(&folder).map_err(failed)?;
    clap_mangen::generate_to(Args::command(), &folder).map_err(failed)
}

fn print(text: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text).and_then(|()| stdout.flush()).map_err(failed)
}

#[allow(clippy::needless_pass_by_value)] // As `map_err` hands it over.
fn failed(error: io::Error) -> Failure {
    Failure::output(error.to_string())
}
