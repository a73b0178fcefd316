//! What is said, and where: results to stdout, all else to stderr.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::failure::Failure;

/// How often a bar that counts nothing shows that something is alive.
const TICK: Duration = Duration::from_millis(120);

/// Text for people, or JSON for programs; and a bar for who waits.
pub(crate) struct Output {
    json: bool,
    progress: Progress,
}

/// Something a command has to say.
pub(crate) trait Said: Serialize {
    /// For people.
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result;
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        Self { json, progress: Progress(bar) }
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
        self.progress.end();
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
            .map_err(|error| Failure::output(error.to_string()))
    }

    /// A remark to stderr, beside the results.
    pub(crate) fn note(&self, note: &impl fmt::Display) {
        self.progress.end();
        // Nobody is left to tell if this cannot be printed.
        let _ = writeln!(io::stderr(), "note: {note}");
    }

    pub(crate) fn failure(&self, failure: &Failure) {
        self.progress.end();
        // A failure that cannot be printed leaves its exit status.
        let _ = if self.json {
            serde_json::to_string(failure).map(|text| writeln!(io::stdout(), "{text}").is_ok()).is_ok()
        } else {
            writeln!(io::stderr(), "{failure}").is_ok()
        };
    }

    /// The bar.
    pub(crate) const fn progress(&self) -> &Progress {
        &self.progress
    }
}

/// A bar on stderr that shows that work goes on; only where somebody looks.
#[derive(Clone)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// What goes on now. Shows the bar, if it is not shown yet.
    pub(crate) fn now(&self, what: &'static str) {
        if io::stderr().is_terminal() {
            self.0.set_message(what);
            self.0.enable_steady_tick(TICK);
        }
    }

    fn end(&self) {
        self.0.finish_and_clear();
    }
}
