//! What the issuers of one claim have written: lists that are not complete yet, and snapshots that not enough of them signed.
//! Entries were judged when they were taken in; here they are only put together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

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
pub(crate) struct Issuers {
    written: BTreeMap<Address, Written>,
    /// Of those that are signed, the ones of which nothing more is to come.
    done: BTreeSet<B256>,
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
    pub(crate) fn list(&mut self, issuer: Address, part: Part) {
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
            .filter(|(digest, _)| !self.done.contains(*digest))
            .find_map(|(digest, (_, snapshot))| Some((*digest, (*snapshot).clone(), self.lister(digest, snapshot)?)))?;
        if lister.is_none() {
            // There is no other list to wait for.
            self.done(digest);
        }
        let list = lister.and_then(|issuer| self.written.get_mut(&issuer)?.list.take());
        Some(Agreed { digest, snapshot, commitments: list.map(|list| list.commitments).unwrap_or_default() })
    }

    /// The complete lists of a snapshot.
    pub(crate) fn lists<'a>(&'a self, digest: &'a B256) -> impl Iterator<Item = &'a [Commitment]> {
        let lists = self.written.values().filter_map(|written| written.list.as_ref());
        lists.filter(move |list| list.snapshot == *digest).map(|list| list.commitments.as_slice())
    }

    /// Nothing more is to come of a snapshot: it was accepted, or never will be.
    pub(super) fn done(&mut self, digest: B256) {
        self.done.insert(digest);
        let written = &self.written;
        self.done.retain(|it| written.values().flat_map(|written| &written.signed).any(|(signed, _)| signed == it));
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

#[cfg(test)]
mod tests {
    use xmtp_proto::field::FieldElement;

    use super::*;

    const ONE: Address = Address::repeat_byte(1);
    const OTHER: Address = Address::repeat_byte(2);

    fn snapshot(leaves: u32) -> Snapshot {
        Snapshot {
            generation: 1,
            block_number: 1,
            block_hash: B256::ZERO,
            contacts: Vec::new(),
            leaves,
            roots: Vec::new(),
        }
    }

    fn part(digest: u8, first: u32, commitments: &[u64]) -> Part {
        let commitments = commitments.iter().map(|it| Commitment::from(FieldElement::from(*it)));
        Part { snapshot: B256::repeat_byte(digest), first, commitments: commitments.collect() }
    }

    #[test]
    fn each_snapshot_is_agreed_on_once_also_if_it_is_empty() {
        let mut issuers = Issuers::default();
        let digests = [1, 2, 3].map(B256::repeat_byte);
        for digest in digests {
            issuers.sign(ONE, digest, snapshot(0));
        }
        let agreed: Vec<B256> = std::iter::from_fn(|| issuers.agree(1)).map(|it| it.digest).take(9).collect();
        assert_eq!(agreed, digests);
    }

    #[test]
    fn snapshot_waits_for_signatures_and_for_a_list_that_is_whole() {
        let mut issuers = Issuers::default();
        let digest = B256::repeat_byte(1);
        issuers.sign(ONE, digest, snapshot(3));
        issuers.sign(OTHER, digest, snapshot(3));
        issuers.list(ONE, part(1, 0, &[1, 2]));
        assert!(issuers.agree(2).is_none());
        issuers.list(ONE, part(1, 2, &[3]));
        assert!(issuers.agree(3).is_none());
        assert_eq!(issuers.agree(2).unwrap().commitments.len(), 3);
        // The list was taken, and had other roots: another issuer's may have them.
        assert!(issuers.agree(2).is_none());
        issuers.list(OTHER, part(1, 0, &[1, 2, 3]));
        assert!(issuers.agree(2).is_some());
        issuers.done(digest);
        issuers.list(ONE, part(1, 0, &[1, 2, 3]));
        assert!(issuers.agree(2).is_none());
    }

    #[test]
    fn list_ends_when_its_issuer_begins_another() {
        let mut issuers = Issuers::default();
        let digest = B256::repeat_byte(1);
        issuers.list(ONE, part(1, 0, &[1, 2]));
        assert_eq!(issuers.lists(&digest).count(), 1);
        issuers.list(ONE, part(2, 0, &[1]));
        assert_eq!(issuers.lists(&digest).count(), 0);
    }
}
