//! Topics: named, append-only logs of envelopes (docs/protocol.md, "Topics"; litepaper 4.2).

use std::fmt;
use std::str::FromStr;

use alloy_primitives::{B256, hex};

use crate::account::{Account, InvalidAccount};

/// The longest name.
pub const MAX_NAME_BYTES: usize = 300;

const PREFIX: &str = "/xmtp/1/";
const SUFFIX: &str = "/proto";

/// A topic. On the wire and in digests it is its name, `/xmtp/1/<kind>-<rest>/proto`, and each topic has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// An account's key bundles. Who holds the wallet's signature may write.
    Contact(Account),
    /// An account's policies. Its identity key may write.
    Policy(Account),
    /// An account's encrypted private keys. Its identity key may write.
    Vault(Account),
    /// Where strangers knock: anyone may write who meets the network's and the account's requirements.
    Invite(Account),
    /// Which of its letters an account has read. Its identity key may write.
    Receipts(Account),
    /// A conversation, named by a hash of its posting key, whose holders may write.
    Conversation(B256),
    /// A claim's snapshots. Its issuers may write.
    Claim(B256),
}

/// The text names no topic. The fault of whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopic {
    /// Longer than [`MAX_NAME_BYTES`].
    #[error("longer than {MAX_NAME_BYTES} bytes")]
    TooLong,
    /// Not `/xmtp/1/<kind>-<rest>/proto`.
    #[error("not of the form /xmtp/1/<kind>-<rest>/proto")]
    Syntax,
    /// Not a kind of topic.
    #[error("no such kind of topic")]
    UnknownKind,
    /// The account is not one, or not written in its canonical form.
    #[error(transparent)]
    Account(#[from] InvalidAccount),
    /// Not 64 lower-case hexadecimal digits.
    #[error("expected 64 lower-case hexadecimal digits")]
    Id,
}

impl Topic {
    /// The account that the topic belongs to, or that it leads to.
    #[must_use]
    pub const fn account(&self) -> Option<Account> {
        match self {
            Self::Contact(account)
            | Self::Policy(account)
            | Self::Vault(account)
            | Self::Invite(account)
            | Self::Receipts(account) => Some(*account),
            Self::Conversation(_) | Self::Claim(_) => None,
        }
    }
}

impl FromStr for Topic {
    type Err = InvalidTopic;

    fn from_str(name: &str) -> Result<Self, InvalidTopic> {
        if name.len() > MAX_NAME_BYTES {
            return Err(InvalidTopic::TooLong);
        }
        let (kind, rest) = name
            .strip_prefix(PREFIX)
            .and_then(|name| name.strip_suffix(SUFFIX))
            .and_then(|name| name.split_once('-'))
            .ok_or(InvalidTopic::Syntax)?;
        let account = || Account::from_canonical(rest).map_err(InvalidTopic::Account);
        match kind {
            "contact" => Ok(Self::Contact(account()?)),
            "policy" => Ok(Self::Policy(account()?)),
            "vault" => Ok(Self::Vault(account()?)),
            "invite" => Ok(Self::Invite(account()?)),
            "receipts" => Ok(Self::Receipts(account()?)),
            "conv" => Ok(Self::Conversation(id(rest)?)),
            "claim" => Ok(Self::Claim(id(rest)?)),
            _ => Err(InvalidTopic::UnknownKind),
        }
    }
}

fn id(text: &str) -> Result<B256, InvalidTopic> {
    if !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(InvalidTopic::Id);
    }
    let mut id = [0; 32];
    hex::decode_to_slice(text, &mut id).map_err(|_| InvalidTopic::Id)?;
    Ok(id.into())
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contact(account) => write!(f, "{PREFIX}contact-{account}{SUFFIX}"),
            Self::Policy(account) => write!(f, "{PREFIX}policy-{account}{SUFFIX}"),
            Self::Vault(account) => write!(f, "{PREFIX}vault-{account}{SUFFIX}"),
            Self::Invite(account) => write!(f, "{PREFIX}invite-{account}{SUFFIX}"),
            Self::Receipts(account) => write!(f, "{PREFIX}receipts-{account}{SUFFIX}"),
            Self::Conversation(id) => write!(f, "{PREFIX}conv-{}{SUFFIX}", hex::encode(id)),
            Self::Claim(id) => write!(f, "{PREFIX}claim-{}{SUFFIX}", hex::encode(id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "/xmtp/1/invite-eip155:1:0xd8da6bf26964af9d7eed9e03e53415d37aa96045/proto";

    #[test]
    fn name_is_what_was_read() {
        let conversation = format!("/xmtp/1/conv-{}/proto", "0a".repeat(32));
        let claim = format!("/xmtp/1/claim-{}/proto", "ff".repeat(32));
        let owned = ["contact", "policy", "vault", "receipts"].map(|kind| INVITE.replace("invite", kind));
        for name in owned.iter().map(String::as_str).chain([INVITE, &conversation, &claim]) {
            assert_eq!(name.parse::<Topic>().map(|topic| topic.to_string()).as_deref(), Ok(name));
        }
    }

    #[test]
    fn no_second_name_leads_to_a_topic() {
        let tricks = [
            String::new(),
            INVITE.to_uppercase(),
            INVITE.replace("0xd8da", "0xD8DA"),
            INVITE.replace("0xd8da", "0xd8dA"),
            INVITE.replace("eip155:1:", ""),
            INVITE.replace("eip155:1:", "eip155:01:"),
            INVITE.replace("eip155:1:", "eip155: 1:"),
            INVITE.replace("/proto", "/proto/"),
            INVITE.replace("/proto", "/Proto"),
            INVITE.replace("/proto", ""),
            INVITE.replace("/xmtp/1/", "/xmtp/0/"),
            INVITE.replace("/xmtp/1/", "//xmtp/1/"),
            INVITE.replace("/xmtp/1/", "/xmtp/1/../1/"),
            INVITE.replace("invite-", "invite_"),
            INVITE.replace("invite", "intro"),
            INVITE.replace("6045", "604"),
            INVITE.replace("6045", "6045\0"),
            INVITE.replace("6045", "６045"),
            format!(" {INVITE}"),
            format!("{INVITE}\n"),
            format!("/xmtp/1/conv-{}/proto", "0A".repeat(32)),
            format!("/xmtp/1/conv-0x{}/proto", "0a".repeat(32)),
            format!("/xmtp/1/conv-{}/proto", "0a".repeat(31)),
            format!("/xmtp/1/conv-{}/proto", "0a".repeat(33)),
            "/".repeat(MAX_NAME_BYTES + 1),
        ];
        for trick in tricks {
            assert!(trick.parse::<Topic>().is_err(), "{trick:?} was taken for a topic");
        }
    }
}
