//! What a policy names of those who may write no more: the pseudonyms that letters have shown, and attestations. A policy has
//! room for so many, so what is over gives way.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use alloy::primitives::B256;
use xmtp_proto::derive::Issue;
use xmtp_proto::field::Tag;
use xmtp_proto::pass::{Claim, Member, Pass, Stamp};
use xmtp_proto::policy::{MAX_BLOCKED_TAGS, MAX_REVOKED_ATTESTATIONS, Policy};
use xmtp_proto::time::{Generation, Timestamp};

use crate::inbox::tag;

/// For so long after its end something is still named: a node's clock may be behind.
pub(super) const HINDSIGHT: Duration = Duration::from_secs(24 * 60 * 60);
/// So many names less than fit, so that the account can still ask for more than it does.
const RESERVED: usize = 32;

/// What is to be named, and what need not be any more.
#[derive(Default)]
pub(super) struct Names {
    /// Pseudonyms; those that matter most come first.
    pub(super) tags: Vec<Tag>,
    /// Attestations; likewise.
    pub(super) attestations: Vec<B256>,
    /// Pseudonyms whose passes count no more.
    pub(super) tags_over: HashSet<Tag>,
    /// Attestations that are over.
    pub(super) attestations_over: HashSet<B256>,
}

impl Names {
    /// How many of the pseudonyms and of the attestations a policy does not name; there may be none yet.
    pub(super) fn missing_in(&self, policy: Option<&Policy>) -> (usize, usize) {
        let (tags, attestations) =
            policy.map_or_else(Default::default, |policy| (&policy.blocked_tags[..], &policy.revoked_attestations[..]));
        let tags = self.tags.iter().filter(|tag| !tags.contains(tag)).count();
        (tags, self.attestations.iter().filter(|hash| !attestations.contains(hash)).count())
    }

    /// Takes what is over out of a policy, and names what there is room for: attestations first, as who has one pays nothing.
    pub(super) fn put_into(&self, policy: &mut Policy) {
        policy.blocked_tags.retain(|tag| !self.tags_over.contains(tag));
        policy.revoked_attestations.retain(|hash| !self.attestations_over.contains(hash));
        let room = policy.room().saturating_sub(RESERVED);
        let taken = fill(&mut policy.revoked_attestations, &self.attestations, MAX_REVOKED_ATTESTATIONS, room);
        fill(&mut policy.blocked_tags, &self.tags, MAX_BLOCKED_TAGS, room - taken);
    }
}

/// Adds what is missing while there is room, and returns how much that is.
fn fill<T: Copy + PartialEq>(names: &mut Vec<T>, wanted: &[T], max: usize, room: usize) -> usize {
    let before = names.len();
    for name in wanted {
        if names.len() < max && names.len() - before < room && !names.contains(name) {
            names.push(*name);
        }
    }
    names.len() - before
}

/// The pseudonyms that letters have shown to the account: all that a peer's have, and of the others those that are asked about.
pub(super) struct Shown {
    now: Timestamp,
    issue_seconds: u64,
    asked: HashSet<Tag>,
    /// As the peer's letters came, and whether it was with a stamp: another book has another pseudonym.
    of_peer: Vec<(Tag, bool)>,
    /// Whether passes with a pseudonym may still count.
    counts: HashMap<Tag, bool>,
}

impl Shown {
    pub(super) fn new(now: Timestamp, issue_seconds: u64, asked: &[Tag]) -> Self {
        let asked = asked.iter().copied().collect();
        Self { now, issue_seconds, asked, of_peer: Vec::new(), counts: HashMap::new() }
    }

    /// Takes in the passes of a letter.
    pub(super) fn look_at(&mut self, passes: &[Pass], is_peers: bool) {
        for pass in passes {
            let Some(tag) = tag(pass).filter(|tag| is_peers || self.asked.contains(tag)) else { continue };
            *self.counts.entry(tag).or_default() |= !self.is_over(pass);
            if is_peers {
                self.of_peer.push((tag, matches!(pass, Pass::Stamp(_))));
            }
        }
    }

    /// Whether passes of the same issue or quarter have ceased to count.
    fn is_over(&self, pass: &Pass) -> bool {
        let then = self.now.saturating_sub(HINDSIGHT);
        match pass {
            Pass::Stamp(Stamp { issue, .. }) => {
                let current = Issue::at(then, self.issue_seconds);
                *issue < current && !issue.valid_in(current)
            }
            Pass::Claim(Claim { generation, .. }) | Pass::Member(Member { generation, .. }) => {
                Generation(*generation) < Generation::at(then)
            }
            Pass::Stake(_) | Pass::Connection(_) | Pass::Posting(_) | Pass::Owner(_) | Pass::Issuer(_) => false,
        }
    }

    /// Every pseudonym of the peer's.
    pub(super) fn of_peer(&self) -> HashSet<Tag> {
        self.of_peer.iter().map(|(tag, _)| *tag).collect()
    }

    /// Those of the peer's that count: first those that it cannot easily have others of, of each kind the newest first.
    pub(super) fn counting(&self) -> Vec<Tag> {
        let mut seen = HashSet::new();
        let of_kind = |is_stamps| self.of_peer.iter().rev().filter(move |(_, it)| *it == is_stamps);
        let tags = of_kind(false).chain(of_kind(true)).map(|(tag, _)| *tag);
        tags.filter(|tag| self.counts.get(tag) == Some(&true) && seen.insert(*tag)).collect()
    }

    /// Those that count no more, whoever showed them.
    pub(super) fn over(&self) -> HashSet<Tag> {
        self.counts.iter().filter(|(_, counts)| !**counts).map(|(tag, _)| *tag).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::slice;

    use xmtp_proto::account::Account;
    use xmtp_proto::derive::OperatorId;
    use xmtp_proto::field::FieldElement;
    use xmtp_proto::pass::{PROOF_BYTES, Proof, Stake};
    use xmtp_proto::requirement::Requirement;
    use xmtp_proto::time::{Epoch, GENERATION_SECONDS};

    use super::*;

    fn element<T: From<FieldElement>>(number: u64) -> T {
        FieldElement::from(number).into()
    }

    fn hash(number: u64) -> B256 {
        B256::left_padding_from(&number.to_be_bytes())
    }

    fn policy(tags: Range<u64>, attestations: Range<u64>) -> Policy {
        Policy {
            account: "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045".parse::<Account>().unwrap(),
            version: 1,
            requirement: Requirement::nothing(),
            blocked_tags: tags.map(element).collect(),
            revoked_attestations: attestations.map(hash).collect(),
        }
    }

    fn proof(tag: u64) -> Proof {
        Proof {
            root: element(1),
            nullifier: element(2),
            share: element(3),
            tag: element(tag),
            points: [0; PROOF_BYTES],
        }
    }

    fn stamp(issue: u32, tag: u64) -> Pass {
        Pass::Stamp(Stamp { denomination: 1.try_into().unwrap(), issue: Issue(issue), proof: proof(tag), nonce: None })
    }

    fn member(generation: u32, tag: u64) -> Pass {
        Pass::Member(Member { operator: OperatorId::from([1; 32]), generation, epoch: Epoch(1), proof: proof(tag) })
    }

    #[test]
    fn what_has_no_room_is_left_out_and_the_rest_is_named() {
        // Three hundred books of one stamp each, and one connection.
        let names = Names { tags: (0..300).map(element).collect(), attestations: vec![hash(1)], ..Names::default() };
        let mut full = policy(0..0, 0..0);
        names.put_into(&mut full);
        assert_eq!((full.blocked_tags.len(), full.revoked_attestations.len()), (MAX_BLOCKED_TAGS, 1));
        assert_eq!(names.missing_in(Some(&full)), (300 - MAX_BLOCKED_TAGS, 0));
        assert_eq!(full.blocked_tags[0], element(0), "the first ones matter most");

        // Somebody else's: what there is room for, and its requirement may still grow.
        let mut other = policy(1_000..1_256, 1_000..1_100);
        let names = Names { attestations: (0..256).map(hash).collect(), ..names };
        names.put_into(&mut other);
        assert_eq!(other.room(), RESERVED);
        assert_eq!(names.missing_in(Some(&other)).0, 300);
        let before = other.clone();
        names.put_into(&mut other);
        assert_eq!(other, before);
    }

    #[test]
    fn what_is_over_gives_way_to_what_is_not() {
        let names = Names {
            tags: vec![element(7)],
            attestations: vec![hash(7)],
            tags_over: [element(1_003)].into(),
            attestations_over: [hash(1_005)].into(),
        };
        let mut full = policy(1_000..1_256, 0..0);
        names.put_into(&mut full);
        assert_eq!((full.blocked_tags.len(), full.blocked_tags[255]), (256, element(7)));
        let mut full = policy(0..0, 1_000..1_256);
        names.put_into(&mut full);
        assert_eq!((full.revoked_attestations.len(), full.revoked_attestations[255]), (256, hash(7)));
        assert!(!full.revoked_attestations.contains(&hash(1_005)));
    }

    #[test]
    fn pseudonyms_are_over_when_no_node_takes_their_passes() {
        let quarter = |generation: u64, seconds: u64| Timestamp::from_secs(generation * GENERATION_SECONDS + seconds);
        let hindsight = HINDSIGHT.as_secs();
        let stake = Pass::Stake(Stake { tier: 1, epoch: Epoch(1), proof: proof(5) });
        for (pass, now, expected) in [
            (stamp(10, 5), quarter(14, 0), false),
            (stamp(10, 5), quarter(15, hindsight - 1), false),
            (stamp(10, 5), quarter(15, hindsight), true),
            (stamp(11, 5), quarter(10, 0), false),
            (member(10, 5), quarter(11, hindsight - 1), false),
            (member(10, 5), quarter(11, hindsight), true),
            (stake, quarter(99, 0), false),
        ] {
            for is_peers in [true, false] {
                let mut shown = Shown::new(now, GENERATION_SECONDS, &[element(5)]);
                shown.look_at(slice::from_ref(&pass), is_peers);
                assert_eq!(shown.over().contains(&element(5)), expected, "{pass:?} at {now:?}");
                assert_eq!(shown.counting().len(), usize::from(is_peers && !expected), "{pass:?} at {now:?}");
            }
        }
    }

    #[test]
    fn accounts_pseudonyms_come_before_those_of_books_and_the_newest_first() {
        let mut shown = Shown::new(Timestamp::from_secs(10 * GENERATION_SECONDS), GENERATION_SECONDS, &[element(9)]);
        shown.look_at(&[stamp(10, 1), stamp(10, 2)], true);
        shown.look_at(&[member(10, 3)], true);
        shown.look_at(&[stamp(10, 4), stamp(4, 9)], false);
        shown.look_at(&[stamp(10, 1), stamp(4, 5)], true);
        assert_eq!(shown.counting(), [3, 1, 2].map(element), "another's are not among them, nor what is over");
        assert_eq!(shown.of_peer(), [1, 2, 3, 5].map(element).into());
        assert_eq!(shown.over(), [5, 9].map(element).into());
    }
}
