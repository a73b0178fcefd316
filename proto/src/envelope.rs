//! Envelopes: what nodes store and relay.

use crate::derive::{EnvelopeId, NetworkId};
use crate::malformed::{Malformed, bounded};
use crate::time::Timestamp;
use crate::topic::{self, InvalidTopic, Topic};
use crate::wire;

/// The largest ciphertext: 1 MiB.
pub const MAX_CIPHERTEXT_BYTES: usize = 1 << 20;
/// Quotas and postage count units of so many bytes of ciphertext.
pub const UNIT_BYTES: usize = 4096;
/// The first bytes of an invite that cost one unit of postage.
pub const INVITE_FIRST_UNIT_BYTES: usize = 16 * 1024;

/// A topic, the sender's time, and a ciphertext (on topics of an account's own: a public record).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Envelope {
    /// Where it goes.
    pub topic: Topic,
    /// The sender's clock.
    pub sent_at: Timestamp,
    /// At most [`MAX_CIPHERTEXT_BYTES`].
    pub ciphertext: Vec<u8>,
}

impl Envelope {
    /// The envelope's name in a network.
    #[must_use]
    pub fn id(&self, network: NetworkId) -> EnvelopeId {
        EnvelopeId::new(network, &self.topic, self.sent_at, &self.ciphertext)
    }

    /// What it costs in units: 4 KiB each; an invite's first 16 KiB are one.
    #[must_use]
    pub fn units(&self) -> u32 {
        let bytes = self.ciphertext.len();
        let units = match self.topic {
            Topic::Invite(_) => 1 + bytes.saturating_sub(INVITE_FIRST_UNIT_BYTES).div_ceil(UNIT_BYTES),
            _ => bytes.div_ceil(UNIT_BYTES).max(1),
        };
        u32::try_from(units).unwrap_or(u32::MAX)
    }
}

impl TryFrom<wire::Envelope> for Envelope {
    type Error = Malformed;

    fn try_from(wire: wire::Envelope) -> Result<Self, Malformed> {
        let wire::Envelope { topic, sent_at_ns, ciphertext } = wire;
        if topic.len() > topic::MAX_NAME_BYTES {
            return Err(InvalidTopic::TooLong.into());
        }
        bounded("ciphertext", ciphertext.len(), MAX_CIPHERTEXT_BYTES)?;
        Ok(Self { topic: topic.parse()?, sent_at: Timestamp::from_nanos(sent_at_ns), ciphertext })
    }
}

impl From<Envelope> for wire::Envelope {
    fn from(it: Envelope) -> Self {
        let Envelope { topic, sent_at, ciphertext } = it;
        Self { topic: topic.to_string(), sent_at_ns: sent_at.as_nanos(), ciphertext }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Account;

    #[test]
    fn invite_pays_one_unit_for_its_first_sixteen_kibibytes() {
        let account = Account::externally_owned(Default::default());
        for (topic, bytes, units) in [
            (Topic::Invite(account), 0, 1),
            (Topic::Invite(account), 16 * 1024, 1),
            (Topic::Invite(account), 16 * 1024 + 1, 2),
            (Topic::Invite(account), 20 * 1024 + 1, 3),
            (Topic::Conversation(Default::default()), 0, 1),
            (Topic::Conversation(Default::default()), 4096, 1),
            (Topic::Conversation(Default::default()), 4097, 2),
        ] {
            let envelope = Envelope { topic, sent_at: Timestamp::default(), ciphertext: vec![0; bytes] };
            assert_eq!(envelope.units(), units, "{bytes} bytes on {topic}");
        }
    }
}
