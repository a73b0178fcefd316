//! What is said, and where: results to stdout, all else to stderr.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::failure::Failure;

/// How often a bar that counts nothing shows that something is alive.
const TICK: Duration = Duration::from_millis(120);

/// Text for people, or JSON for programs.
pub(crate) struct Output {
    json: bool,
}

/// Something a command has to say.
pub(crate) trait Said: Serialize {
    /// For people.
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result;
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints a result: one JSON object on one line, or text.
    pub(crate) fn say(&self, said: &impl Said) -> Result<(), Failure> {
        let mut text = if self.json {
            serde_json::to_string(said).map_err(|error| Failure::output(error.to_string()))?
        } else {
            let mut text = String::new();
            said.text(&mut text).map_err(|error| Failure::output(error.to_string()))?;
            text
        };
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
            .map_err(|error| Failure::output(error.to_string()))
    }

    pub(crate) fn failure(&self, failure: &Failure) {
        // A failure that cannot be printed leaves its exit status.
        let _ = if self.json {
            serde_json::to_string(failure).map(|text| writeln!(io::stdout(), "{text}").is_ok()).is_ok()
        } else {
            writeln!(io::stderr(), "{failure}").is_ok()
        };
    }

    /// Shows that work goes on, where somebody looks; gone when dropped.
    pub(crate) fn progress(&self) -> Progress {
        if !io::stderr().is_terminal() {
            return Progress(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
        let bar = ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(TICK);
        Progress(bar)
    }
}

/// A bar on stderr.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// What goes on now.
    pub(crate) fn now(&self, what: &'static str) {
        self.0.set_message(what);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
