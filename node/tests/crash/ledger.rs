//! What the node promised, and every promise that it broke.

use std::collections::HashMap;
use std::fmt::Display;

use xmtp_proto::derive::EnvelopeId;
use xmtp_proto::postmark::{Cursor, SignedPostmark};
use xmtp_proto::wire;

/// Faults that are told in words.
const EXAMPLES_MAX: usize = 20;

/// Broken promises, by kind.
#[derive(Default)]
pub(crate) struct Faults {
    /// Acknowledged, and not in the log as acknowledged.
    pub(crate) lost: u64,
    /// One envelope with two places in the log, or two postmarks.
    pub(crate) doubled: u64,
    /// One cursor given to two envelopes, or to none.
    pub(crate) cursor_reuse: u64,
    /// A stamp cancelled without its envelope, an envelope stored without its cancellation, an index that disagrees.
    pub(crate) torn: u64,
    /// Answers that the state of the log does not explain.
    pub(crate) unexpected: u64,
    pub(crate) examples: Vec<String>,
}

impl Faults {
    pub(crate) const fn any(&self) -> bool {
        self.lost + self.doubled + self.cursor_reuse + self.torn + self.unexpected > 0
    }

    pub(crate) fn example(&mut self, what: impl Display) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(what.to_string());
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        let Self { lost, doubled, cursor_reuse, torn, unexpected, examples } = other;
        self.lost += lost;
        self.doubled += doubled;
        self.cursor_reuse += cursor_reuse;
        self.torn += torn;
        self.unexpected += unexpected;
        examples.into_iter().for_each(|it| self.example(it));
    }
}

/// One log as its publishers know it.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) promised: HashMap<EnvelopeId, SignedPostmark>,
    /// Every cursor ever given.
    pub(crate) given: HashMap<Cursor, EnvelopeId>,
    /// All that was ever sent, to be sent again.
    pub(crate) sent: HashMap<EnvelopeId, wire::Submission>,
    /// Sent, and neither acknowledged nor refused.
    pub(crate) open: HashMap<EnvelopeId, wire::Submission>,
    /// Postmarks received, repetitions not counted.
    pub(crate) acknowledged: u64,
    pub(crate) faults: Faults,
}

impl Ledger {
    pub(crate) fn send(&mut self, id: EnvelopeId, submission: &wire::Submission) {
        self.sent.insert(id, submission.clone());
        if !self.promised.contains_key(&id) {
            self.open.insert(id, submission.clone());
        }
    }

    pub(crate) fn acknowledge(&mut self, id: EnvelopeId, signed: SignedPostmark) {
        self.open.remove(&id);
        let cursor = signed.postmark.cursor;
        if signed.postmark.envelope != id || signed.verify().is_err() {
            self.unexpected(format!("{id:?} was answered with another's postmark"));
        }
        match self.promised.insert(id, signed) {
            None => self.acknowledged += 1,
            Some(before) if before == signed => {}
            Some(before) => {
                self.faults.doubled += 1;
                self.faults.example(format!("{id:?} has postmarks for {:?} and {cursor:?}", before.postmark.cursor));
            }
        }
        self.give(cursor, id);
    }

    /// Letters that a connection let in, among what was acknowledged.
    pub(crate) fn connected(&self) -> u64 {
        let shows = |pass: &wire::Pass| matches!(pass.pass, Some(wire::pass::Pass::Connection(_)));
        let is_so = |id: &&EnvelopeId| self.sent[*id].passes.iter().any(shows);
        self.promised.keys().filter(is_so).count().try_into().unwrap()
    }

    pub(crate) fn refuse(&mut self, id: EnvelopeId) {
        self.open.remove(&id);
        if self.promised.remove(&id).is_some() {
            self.faults.lost += 1;
            self.faults.example(format!("{id:?} was acknowledged and is refused now"));
        }
    }

    /// A cursor belongs to one envelope for ever.
    pub(crate) fn give(&mut self, cursor: Cursor, id: EnvelopeId) {
        let first = *self.given.entry(cursor).or_insert(id);
        if first != id {
            self.faults.cursor_reuse += 1;
            self.faults.example(format!("{cursor:?} was given to {first:?} and to {id:?}"));
        }
    }

    pub(crate) fn lose(&mut self, id: EnvelopeId, why: impl Display) {
        if self.promised.remove(&id).is_some() {
            self.faults.lost += 1;
            self.faults.example(format!("{id:?} is lost: {why}"));
        }
    }

    pub(crate) fn tear(&mut self, what: impl Display) {
        self.faults.torn += 1;
        self.faults.example(what);
    }

    pub(crate) fn unexpected(&mut self, what: impl Display) {
        self.faults.unexpected += 1;
        self.faults.example(what);
    }
}
