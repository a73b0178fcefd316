//! Connections: who may write to an account because it says so, and who may not at all (docs/protocol.md, "Requirements and
//! policies"; litepaper 10.3.1).
//!
//! ```no_run
//! # async fn example(client: xmtp_sdk::client::Client) -> Result<(), Box<dyn std::error::Error>> {
//! # use xmtp_sdk::connection::Terms;
//! let peer = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045".parse()?;
//! client.accept(peer, Terms::default()).await?; // It writes without postage from now on.
//! client.block(peer).await?; // And now no more.
//! # Ok(())
//! # }
//! ```
//!
//! A letter is a request. To accept it is to attest a key that grows from the letter's key material, in the conversation that
//! the letter began: so the other one finds the attestation there, whichever of its clients reads, and nobody else does. The
//! key is another one for every letter, so a node that sees it learns that somebody writes whom the recipient trusts, and
//! finds it nowhere else.
//!
//! To block is to revoke, to name in the policy every pseudonym that the other one's letters have shown, and not to show its
//! letters any more, however they came in. What is to be revoked is what was issued and the policy does not name yet, so
//! whoever was cut short does it again.

mod names;

use std::collections::BTreeSet;
use std::time::Duration;

use alloy::primitives::B256;
use xmtp_proto::account::Account;
use xmtp_proto::attestation::{Attestation, MAX_LIFE};
use xmtp_proto::derive::EnvelopeId;
use xmtp_proto::malformed::Malformed;
use xmtp_proto::policy::{MAX_REVOKED_ATTESTATIONS, Policy};

use crate::client::{Client, PublishError, PublishedPolicy, Step};
use crate::content::{Content, ContentType, InvalidContent};
use crate::conversation::{Conversation, ConversationError, SentMessage};
use crate::inbox::{InboxError, Message};
use crate::invite::Author;
use crate::state::{Said, StateError, Word};

use names::{HINDSIGHT, Names, Shown};

/// Units of postage that the holder of a connection may write in a day, unless another number is named.
pub const QUOTA: u32 = 32;
/// How long a connection lasts, unless another time is named.
pub const LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

const FALLBACK: &str = "From now on you may write to me without postage.";

/// How much somebody may write, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Units of postage per day: 1 to [`MAX_QUOTA`](xmtp_proto::attestation::MAX_QUOTA).
    pub quota: u32,
    /// At most [`MAX_LIFE`].
    pub life: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self { quota: QUOTA, life: LIFE }
    }
}

/// How it stands between the account and another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relation {
    /// The other one.
    pub peer: Account,
    /// Whether it may write to the account, as far as the account has said.
    pub theirs: Standing,
    /// By what the account may write to it; what is over is none.
    pub ours: Option<Attestation>,
}

/// What the account has said to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing, and was not asked.
    Silent,
    /// Nothing yet: there is a letter.
    Requested,
    /// It may write.
    Accepted(Attestation),
    /// Its request stays without an answer.
    Declined,
    /// It may write no more, unless it pays as strangers do.
    Revoked,
    /// Nothing of it is wanted.
    Blocked,
}

/// A connection that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// To whom.
    pub peer: Account,
    /// What its letters show.
    pub attestation: Attestation,
    /// How it was told.
    pub message: SentMessage,
}

/// Somebody whose connection was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Who.
    pub peer: Account,
    /// Attestations that are new in the policy.
    pub revoked: usize,
    /// What says so.
    pub policy: PublishedPolicy,
}

/// Somebody who can write no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Who.
    pub peer: Account,
    /// Pseudonyms that are new in the policy.
    pub tags: usize,
    /// Attestations that are.
    pub revoked: usize,
    /// Pseudonyms and attestations that the policy has no room for: nodes let through who shows one of those.
    pub left_out: usize,
    /// None if there was nothing to name: it is blocked on this side, and has shown nothing new that a node could know it by.
    pub policy: Option<PublishedPolicy>,
}

/// Nothing was said, unless a variant says that this is not known.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// There is no letter from that account, and none to it. The user's to mend.
    #[error("there is no letter from {0}, and none to it: nothing to answer")]
    NoRequest(Account),
    /// It holds no connection. The user's to mend.
    #[error("{0} holds no connection of this account's")]
    NotConnected(Account),
    /// The policy has no room for some of its attestations, and names nothing that is known to be over. What there was room for
    /// is revoked. Try again when another that was revoked is over, or attest new keys: nothing counts then that the old ones
    /// vouched for.
    #[error(
        "the policy has no room to revoke {missing} more: it names {MAX_REVOKED_ATTESTATIONS} attestations at most"
    )]
    Full {
        /// Attestations that count on.
        missing: usize,
    },
    /// The caller's fault.
    #[error("a connection lasts for at most 366 days")]
    Life,
    /// The caller's fault.
    #[error(transparent)]
    Terms(#[from] Malformed),
    /// See there.
    #[error(transparent)]
    Content(#[from] InvalidContent),
    /// See there.
    #[error(transparent)]
    Conversation(#[from] ConversationError),
    /// See there.
    #[error(transparent)]
    Inbox(#[from] InboxError),
    /// See there.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// See there.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Client {
    /// How it stands with everybody whom the account has written to or heard from, as far as this client knows: it reads the
    /// letters and the conversations that came, and the journal.
    ///
    /// # Errors
    /// [`ConversationError`].
    pub async fn relations(&self) -> Result<Vec<Relation>, ConnectionError> {
        let mut requests = BTreeSet::new();
        let mut peers = BTreeSet::new();
        for conversation in self.conversations().await? {
            let peer = conversation.peer();
            peers.insert(peer);
            if conversation.letter().from() == peer {
                requests.insert(peer);
            }
            if conversation.is_accepted() {
                conversation.listen().await?;
            }
        }
        peers.extend(self.state().words()?.into_iter().map(|kept| kept.word.peer));
        let now = self.now();
        let relation = |peer: Account| -> Result<Relation, StateError> {
            let [held, said] = self.state().words_with(peer)?;
            let ours = held.and_then(|word| if let Said::Held(it) = word.said { Some(it) } else { None });
            let theirs = match said.map(|word| word.said) {
                Some(Said::Issued(it)) if it.expires_at > now => Standing::Accepted(it),
                Some(Said::Declined) => Standing::Declined,
                Some(Said::Revoked) => Standing::Revoked,
                Some(Said::Blocked) => Standing::Blocked,
                Some(Said::Issued(_) | Said::Held(_)) | None if requests.contains(&peer) => Standing::Requested,
                Some(Said::Issued(_) | Said::Held(_)) | None => Standing::Silent,
            };
            Ok(Relation { peer, theirs, ours: ours.filter(|it| it.expires_at > now) })
        };
        Ok(peers.into_iter().filter(|peer| *peer != self.account()).map(relation).collect::<Result<_, _>>()?)
    }

    /// Lets an account write without meeting other conditions: in its newest conversation, which is opened if it is not. If it
    /// was blocked, it is no more. What it was given before counts on beside this, until it is revoked.
    ///
    /// # Errors
    /// [`ConnectionError`]; [`ConnectionError::NoRequest`] if neither has written to the other.
    pub async fn accept(&self, peer: Account, terms: Terms) -> Result<Accepted, ConnectionError> {
        let Terms { quota, life } = terms;
        if life > MAX_LIFE {
            return Err(ConnectionError::Life);
        }
        let identity = self.identity().map_err(ConversationError::from)?.map_err(ConversationError::from)?;
        let conversation = self.conversation(peer).await?.ok_or(ConnectionError::NoRequest(peer))?;
        if self.is_blocked(peer)? {
            let policy = self.own_policy().await?;
            let shown = self.shown_by(peer, policy.as_ref()).await?;
            let (of_peer, names) = (shown.of_peer(), Names { tags_over: shown.over(), ..self.withdrawn()? });
            let published = self.change_policy(|policy| {
                names.put_into(policy);
                policy.blocked_tags.retain(|tag| !of_peer.contains(tag));
            });
            published.await?;
        }
        let revoked = self.own_policy().await?.map_or_else(Vec::new, |policy| policy.revoked_attestations);
        let holder = conversation.holder_key(peer);
        let attest = |expires_at| {
            let terms = (holder, quota, expires_at);
            Attestation::new(self.network(), self.account(), terms, |digest| identity.sign(digest))
        };
        let mut attestation = attest(self.now().saturating_add(life))?;
        // With one that was revoked in this very second it would be one and the same.
        while revoked.contains(&attestation.hash()) {
            attestation = attest(attestation.expires_at.saturating_sub(Duration::from_secs(1)))?;
        }
        let body = attestation.to_bytes().to_vec();
        let content = Content::new(ContentType::connection(), Some(FALLBACK.to_owned()), body)?;
        let (letter, said) = (conversation.letter().id, Said::Issued(attestation));
        // Sent or not: whatever becomes of the message, it can be revoked.
        self.state().keep_issued(&Word { peer, at: self.now(), letter, said })?;
        let message = conversation.send_content(&content).await?;
        self.say(peer, letter, said)?;
        Ok(Accepted { peer, attestation, message })
    }

    /// Leaves a request without an answer: nobody is told.
    ///
    /// # Errors
    /// [`ConnectionError`]; [`ConnectionError::NoRequest`] if there is no letter.
    pub async fn decline(&self, peer: Account) -> Result<(), ConnectionError> {
        let conversation = self.conversation(peer).await?.ok_or(ConnectionError::NoRequest(peer))?;
        Ok(self.say(peer, conversation.letter().id, Said::Declined)?)
    }

    /// Takes back every attestation that an account was given: from then on it must meet the other conditions.
    ///
    /// # Errors
    /// [`ConnectionError`]; [`ConnectionError::NotConnected`] if it holds none, or is blocked.
    pub async fn revoke(&self, peer: Account) -> Result<Revoked, ConnectionError> {
        // Another client of the account may have issued them.
        self.relations().await?;
        let [_, said] = self.state().words_with(peer)?;
        let issued = self.issued_to(peer)?;
        let before = self.own_policy().await?;
        let is_named = |word: &Word| before.as_ref().is_some_and(|policy| names_attestation(policy, word));
        let nothing_to_do = match said.map(|word| word.said) {
            Some(Said::Blocked) => true,
            Some(Said::Revoked) => issued.iter().all(is_named),
            Some(Said::Issued(_) | Said::Held(_) | Said::Declined) | None => issued.is_empty(),
        };
        let Some(newest) = issued.last().filter(|_| !nothing_to_do) else {
            return Err(ConnectionError::NotConnected(peer));
        };
        let mut names = self.withdrawn()?;
        names.attestations.splice(..0, issued.iter().filter_map(hash));
        let policy = self.change_policy(|policy| names.put_into(policy)).await?;
        let is_new = |word: &&Word| names_attestation(policy.signed.policy(), word) && !is_named(word);
        let revoked = issued.iter().filter(is_new).count();
        let missing = issued.iter().filter(|word| !names_attestation(policy.signed.policy(), word)).count();
        if missing > 0 {
            return Err(ConnectionError::Full { missing });
        }
        self.say(peer, newest.letter, Said::Revoked)?;
        Ok(Revoked { peer, revoked, policy })
    }

    /// Shuts an account out: what it holds is revoked, the pseudonyms that its letters have shown count for nothing, and its
    /// letters are not shown. Blocked again, it is shut out of what it has come by since.
    ///
    /// # Errors
    /// [`ConnectionError`]; its letters are not shown, and what the policy does not name yet it names the next time.
    pub async fn block(&self, peer: Account) -> Result<Blocked, ConnectionError> {
        self.relations().await?;
        let [_, said] = self.state().words_with(peer)?;
        let letter = said.map_or_else(|| EnvelopeId::from([0; 32]), |word| word.letter);
        // On this side first: whatever becomes of the policy, nothing of it is shown.
        self.say(peer, letter, Said::Blocked)?;
        let before = self.own_policy().await?;
        let shown = self.shown_by(peer, before.as_ref()).await?;
        let mut names = Names { tags: shown.counting(), tags_over: shown.over(), ..self.withdrawn()? };
        let of_peer = Names {
            tags: names.tags.clone(),
            attestations: self.issued_to(peer)?.iter().filter_map(hash).collect(),
            ..Names::default()
        };
        names.attestations.splice(..0, of_peer.attestations.iter().copied());
        if names.missing_in(before.as_ref()) == (0, 0) {
            return Ok(Blocked { peer, tags: 0, revoked: 0, left_out: 0, policy: None });
        }
        let policy = self.change_policy(|policy| names.put_into(policy)).await?;
        let (tags, attestations) = of_peer.missing_in(before.as_ref());
        let (tags_left, attestations_left) = of_peer.missing_in(Some(policy.signed.policy()));
        Ok(Blocked {
            peer,
            tags: tags.saturating_sub(tags_left),
            revoked: attestations.saturating_sub(attestations_left),
            left_out: tags_left + attestations_left,
            policy: Some(policy),
        })
    }

    /// Whether letters of an account are not to be shown.
    pub(crate) fn is_blocked(&self, peer: Account) -> Result<bool, StateError> {
        let [_, said] = self.state().words_with(peer)?;
        Ok(said.is_some_and(|word| word.said == Said::Blocked))
    }

    fn say(&self, peer: Account, letter: EnvelopeId, said: Said) -> Result<(), StateError> {
        self.step(Step::WritingDown);
        self.state().keep_word(&Word { peer, at: self.now(), letter, said })?;
        self.step(Step::WrittenDown);
        Ok(())
    }

    /// The attestations that nodes may still take, the oldest first.
    fn issued(&self) -> Result<Vec<Word>, ConnectionError> {
        let identity = self.identity().map_err(ConversationError::from)?.map_err(ConversationError::from)?;
        let (identity_key, now) = (identity.verified_bundle().bundle().keys.identity_key, self.now());
        let counts = |word: &Word| match word.said {
            Said::Issued(it) => it.expires_at > now && it.verify(self.network(), self.account(), &identity_key).is_ok(),
            Said::Held(_) | Said::Declined | Said::Revoked | Said::Blocked => false,
        };
        let words = self.state().words()?.into_iter().map(|kept| kept.word);
        Ok(words.filter(counts).collect())
    }

    fn issued_to(&self, peer: Account) -> Result<Vec<Word>, ConnectionError> {
        let mut issued = self.issued()?;
        issued.retain(|word| word.peer == peer);
        Ok(issued)
    }

    /// The attestations of everybody who was revoked or blocked since, as some may not be named yet; and those that are over.
    fn withdrawn(&self) -> Result<Names, ConnectionError> {
        let mut names = Names::default();
        for word in &self.issued()? {
            let [_, said] = self.state().words_with(word.peer)?;
            if said.is_some_and(|word| matches!(word.said, Said::Revoked | Said::Blocked)) {
                names.attestations.extend(hash(word));
            }
        }
        let now = self.now();
        let is_over = |word: &Word| match word.said {
            Said::Issued(it) => it.expires_at.saturating_add(HINDSIGHT) <= now,
            Said::Held(_) | Said::Declined | Said::Revoked | Said::Blocked => false,
        };
        let words = self.state().words()?.into_iter().map(|kept| kept.word);
        names.attestations_over = words.filter(is_over).filter_map(|word| hash(&word)).collect();
        Ok(names)
    }

    /// The pseudonyms that an account's letters have shown to this one, and what has become of those that the policy names.
    async fn shown_by(&self, peer: Account, policy: Option<&Policy>) -> Result<Shown, ConnectionError> {
        let asked = policy.map_or(&[][..], |policy| &policy.blocked_tags);
        let mut shown = Shown::new(self.now(), self.deployment().issue_seconds.into(), asked);
        self.look_at_passes(|from, passes| shown.look_at(passes, from == peer)).await?;
        Ok(shown)
    }

    async fn own_policy(&self) -> Result<Option<Policy>, ConnectionError> {
        Ok(self.policy(self.account()).await.map_err(PublishError::from)?)
    }
}

/// What a policy names to revoke what a word issued.
fn hash(word: &Word) -> Option<B256> {
    if let Said::Issued(attestation) = word.said { Some(attestation.hash()) } else { None }
}

fn names_attestation(policy: &Policy, word: &Word) -> bool {
    hash(word).is_some_and(|hash| policy.revoked_attestations.contains(&hash))
}

impl Conversation<'_> {
    /// The key by which a party's letters to the other one are let through.
    fn holder_key(&self, party: Account) -> [u8; 32] {
        let author = if self.letter().from() == party { Author::Inviter } else { Author::Invitee };
        self.channel().holder_key(author).public()
    }

    /// Keeps the attestation in a genuine message, if there is one and it fits: the other one's, or one of the account's own
    /// that another of its clients has issued.
    pub(crate) fn hear(&self, message: &Message, identity_key: &[u8; 32]) -> Result<(), StateError> {
        let Some(content) = message.content.as_ref() else { return Ok(()) };
        if !content.content_type().is_read_as(&ContentType::connection()) {
            return Ok(());
        }
        let Ok(attestation) = Attestation::from_bytes(content.body()) else { return Ok(()) };
        let (peer, is_theirs) = (self.peer(), message.from == self.peer());
        let holder = if is_theirs { self.client().account() } else { peer };
        if attestation.holder != self.holder_key(holder)
            || attestation.verify(self.client().network(), message.from, identity_key).is_err()
        {
            return Ok(());
        }
        let [held, issued] = self.client().state().words_with(peer)?;
        let before = if is_theirs { held } else { issued };
        let said = if is_theirs { Said::Held(attestation) } else { Said::Issued(attestation) };
        let word = Word { peer, at: message.sent_at, letter: self.letter().id, said };
        // Messages are read again and again; what was said since stands.
        if before.is_some_and(|before| before.at >= message.sent_at) {
            return self.client().state().keep_issued(&word);
        }
        self.client().state().keep_word(&word)
    }
}
