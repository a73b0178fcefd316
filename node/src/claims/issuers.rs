//! What the issuers of one claim have written: lists that are not complete yet, and snapshots that not enough of them signed.
//! Entries were judged when they were taken in; here they are only put together.

use std::collections::{BTreeMap, VecDeque};

use alloy::primitives::{Address, B256};
use xmtp_proto::field::Commitment;
use xmtp_proto::snapshot::{MAX_VOLUMES, Part, Snapshot};
use xmtp_prover::tree::VOLUME_LEAVES;

/// Signatures of an issuer that may still meet those of others.
const SIGNED_MAX: usize = 4;
/// The longest list.
const LIST_MAX: usize = MAX_VOLUMES * VOLUME_LEAVES as usize;

/// By issuer: at most sixteen.
#[derive(Default)]
pub(super) struct Issuers {
    written: BTreeMap<Address, Written>,
    done: Option<B256>,
}

#[derive(Default)]
struct Written {
    list: Option<List>,
    signed: VecDeque<(B256, Snapshot)>,
}

struct List {
    snapshot: B256,
    commitments: Vec<Commitment>,
}

/// A snapshot that enough issuers signed, with the list that one of them made. Whether the list has the roots has not been
/// looked at.
pub(super) struct Agreed {
    pub(super) digest: B256,
    pub(super) snapshot: Snapshot,
    pub(super) commitments: Vec<Commitment>,
}

impl Issuers {
    /// Takes in a part: the first of a list, or the next one; any other ends the list.
    pub(super) fn list(&mut self, issuer: Address, part: Part) {
        let Part { snapshot, first, commitments } = part;
        let written = self.written.entry(issuer).or_default();
        if first == 0 {
            written.list = Some(List { snapshot, commitments });
            return;
        }
        let follows = |list: &mut List| {
            list.snapshot == snapshot
                && list.commitments.len() as u64 == u64::from(first)
                && list.commitments.last() < commitments.first()
                && list.commitments.len() + commitments.len() <= LIST_MAX
        };
        match written.list.take_if(follows) {
            Some(mut list) => {
                list.commitments.extend(commitments);
                written.list = Some(list);
            }
            None => {
                tracing::warn!(%issuer, "a part of a list does not follow the one before; the list is dropped");
                written.list = None;
            }
        }
    }

    /// Takes in a signature.
    pub(super) fn sign(&mut self, issuer: Address, digest: B256, snapshot: Snapshot) {
        let signed = &mut self.written.entry(issuer).or_default().signed;
        signed.retain(|(of, _)| *of != digest);
        signed.push_back((digest, snapshot));
        if signed.len() > SIGNED_MAX {
            signed.pop_front();
        }
    }

    /// The snapshot that so many issuers have signed by now, if a list of it is there, which is taken: should it have other
    /// roots, another issuer's may have them.
    pub(super) fn agree(&mut self, threshold: u8) -> Option<Agreed> {
        let mut signatures: BTreeMap<B256, (u8, &Snapshot)> = BTreeMap::new();
        for (digest, snapshot) in self.written.values().flat_map(|written| &written.signed) {
            signatures.entry(*digest).or_insert((0, snapshot)).0 += 1;
        }
        let enough = signatures.iter().filter(|(_, (count, _))| *count >= threshold.max(1));
        let (digest, snapshot, lister) = enough
            .filter(|(digest, _)| self.done != Some(**digest))
            .find_map(|(digest, (_, snapshot))| Some((*digest, (*snapshot).clone(), self.lister(digest, snapshot)?)))?;
        let list = lister.and_then(|issuer| self.written.get_mut(&issuer)?.list.take());
        Some(Agreed { digest, snapshot, commitments: list.map(|list| list.commitments).unwrap_or_default() })
    }

    /// Nothing more is to come of a snapshot: it was accepted, or never will be.
    pub(super) fn done(&mut self, digest: B256) {
        self.done = Some(digest);
    }

    /// Who has the list of a snapshot complete; nobody need have that of an empty one.
    fn lister(&self, digest: &B256, snapshot: &Snapshot) -> Option<Option<Address>> {
        if snapshot.leaves == 0 {
            return Some(None);
        }
        let complete =
            |list: &List| list.snapshot == *digest && list.commitments.len() as u64 == u64::from(snapshot.leaves);
        let lister = self.written.iter().find(|(_, written)| written.list.as_ref().is_some_and(complete));
        lister.map(|(issuer, _)| Some(*issuer))
    }
}
