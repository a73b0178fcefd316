//! Reading conversations and the journal by prefix: as many first bits of an id as the network says, and what comes is picked
//! from here (docs/protocol.md, "Reading leaks too").
//!
//! Each prefix is asked for on a connection of its own: two on one would say that one client reads both. What belongs to a
//! conversation is kept as it came, and the log is read on behind it; so nothing comes twice, and a prefix that grows or
//! shrinks with the network's traffic leaves no gap: every conversation remembers for itself how far it was read.

use std::collections::{BTreeMap, BTreeSet};

use xmtp_proto::opening;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::record::Record;
use xmtp_proto::topic::Topic;

use super::Client;
use crate::identity::Identity;
use crate::inbox::InboxError;
use crate::journal;
use crate::state::StateError;
use crate::transport::{Node, Prefix, Role};

/// Records asked for at once.
const PAGE: u32 = 100;
/// Pages read in one go.
const MAX_PAGES: usize = 1_000;
/// Ciphertext read in one go.
const MAX_BYTES: usize = 64 << 20;

/// How far it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// Up to the end of the log.
    End,
    /// So much that the rest is left for the next time.
    Limit,
}

/// What is read together.
pub(crate) struct Shelf {
    pub(crate) prefix: Prefix,
    pub(crate) topics: Vec<Topic>,
    /// Behind here something was not read yet for one of them.
    pub(crate) after: Cursor,
}

/// So many bits as make no more prefixes of these topics than may be named together.
pub(crate) fn bits_for(topics: &[Topic], bits: u16, prefixes_max: usize) -> u16 {
    let count = |bits: u16| {
        let prefix = |topic: &Topic| match topic {
            Topic::Conversation(id) => Some(Prefix::of(*id, bits)),
            _ => None,
        };
        topics.iter().filter_map(prefix).collect::<BTreeSet<_>>().len()
    };
    (0..=bits).rev().find(|bits| count(*bits) <= prefixes_max).unwrap_or_default()
}

impl Client {
    /// Reads on in a conversation, or in the journal, and in all others of the account that the same prefix covers.
    pub(crate) async fn read_on(&self, identity: &Identity, topic: Topic) -> Result<Reached, InboxError> {
        self.read_on_at(self.node().await?, identity, topic).await
    }

    /// As [`Client::read_on`], at a node that was just greeted.
    pub(crate) async fn read_on_at(
        &self,
        node: &Node,
        identity: &Identity,
        topic: Topic,
    ) -> Result<Reached, InboxError> {
        let bits = node.network().conversation_bits;
        let shelves = self.shelves(identity, bits, Some(topic))?;
        let Some(Shelf { prefix, topics, mut after }) = shelves.into_iter().find(|shelf| shelf.prefix.covers(&topic))
        else {
            return Ok(Reached::End);
        };
        let connection = node.open(Role::Reading);
        let mut bytes = 0;
        for _ in 0..MAX_PAGES {
            let stretch = connection.query_conversations(prefix, after, PAGE).await?;
            if stretch.seen > after {
                self.absorb(identity, &topics, &stretch.records, stretch.seen).await?;
            }
            if !stretch.more {
                return Ok(Reached::End);
            }
            after = stretch.seen;
            bytes += stretch.records.iter().map(|it| it.submission.envelope().ciphertext.len()).sum::<usize>();
            if bytes > MAX_BYTES {
                break;
            }
        }
        Ok(Reached::Limit)
    }

    /// The journal, all conversations that were begun or accepted, and another topic, by prefixes of so many bits.
    pub(crate) fn shelves(
        &self,
        identity: &Identity,
        bits: u16,
        another: Option<Topic>,
    ) -> Result<Vec<Shelf>, StateError> {
        let journal = journal::channel(identity).topic();
        let mut topics = self.followed(identity)?;
        topics.extend(another.filter(|another| !topics.contains(another)));
        let mut shelves: BTreeMap<Prefix, Shelf> = BTreeMap::new();
        for topic in topics {
            let Topic::Conversation(id) = topic else { continue };
            let prefix = Prefix::of(id, bits);
            let read = if topic == journal { self.state.journal()?.1 } else { self.state.read_to(&topic)? };
            let shelf = shelves.entry(prefix).or_insert(Shelf { prefix, topics: Vec::new(), after: read });
            shelf.after = shelf.after.min(read);
            shelf.topics.push(topic);
        }
        Ok(shelves.into_values().collect())
    }

    /// The journal and all conversations that were begun or accepted, in one order.
    pub(crate) fn followed(&self, identity: &Identity) -> Result<Vec<Topic>, StateError> {
        let kept = self.state.kept_conversations()?;
        let kept = kept.iter().map(|kept| kept.letter.conversation(self.network).topic());
        let mut topics: Vec<Topic> = kept.chain([journal::channel(identity).topic()]).collect();
        topics.sort_unstable();
        topics.dedup();
        Ok(topics)
    }

    /// Picks what belongs to these topics out of all records that a prefix of theirs covers, behind where each was read to
    /// and up to `seen`.
    pub(crate) async fn absorb(
        &self,
        identity: &Identity,
        topics: &[Topic],
        records: &[Record],
        seen: Cursor,
    ) -> Result<(), StateError> {
        let journal = journal::channel(identity).topic();
        if topics.contains(&journal) {
            self.apply_journal(identity, records, seen).await?;
        }
        let topics: Vec<Topic> = topics.iter().filter(|topic| **topic != journal).copied().collect();
        // An opening says nothing that the conversation's parties want to read.
        let records = records.iter().filter(|it| it.submission.envelope().ciphertext.len() != opening::BYTES);
        self.state.keep_records(&topics, &records.collect::<Vec<_>>(), seen)
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;

    use super::*;

    #[test]
    fn prefixes_grow_shorter_until_they_are_few_enough() {
        let topics = [0b0000_0000, 0b0000_0001, 0b0100_0000, 0b1000_0000, 0b1100_0000]
            .map(|byte| Topic::Conversation(B256::repeat_byte(byte)));
        for (prefixes_max, expected) in [(5, 9), (4, 7), (3, 1), (2, 1), (1, 0)] {
            assert_eq!(bits_for(&topics, 9, prefixes_max), expected, "{prefixes_max} prefixes");
        }
        assert_eq!(bits_for(&topics, 0, 5), 0, "no more than the network says");
    }
}
