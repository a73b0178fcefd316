//! What the account has that a letter could show. A kind of pass joins with a variant of [`Source`], its holdings in
//! `other_holdings`, and its proof in `frank`.

use std::sync::{MutexGuard, PoisonError};

use xmtp_proto::derive::{self, ClaimId, EnvelopeId, Purpose};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::Tag;
use xmtp_proto::pass::Connection;
use xmtp_proto::requirement::Shown;
use xmtp_proto::time::Epoch;
use xmtp_proto::topic::Topic;

use super::claims::HeldClaim;
use super::stakes::left_of_day;
use super::{Client, Recipient};
use crate::franking::{Choice, Chosen, Holding};
use crate::identity::Identity;
use crate::invite::Author;
use crate::state::{Book, BookId, LettersError, Outgoing, Said, Stake, StampUse, StateError, Word};
use crate::transport::{ClaimGroup, NetworkInfo, StampGroup};

/// What a pass is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A book of stamps.
    Book(BookId),
    /// A stamp that belongs to the letter.
    Stamp(StampUse),
    /// A stake.
    Stake(BookId),
    /// A connection, by the letter in whose conversation it was attested.
    Connection(EnvelopeId),
    /// The account's membership: which index of it, the journal says when the letter is sent.
    Member,
    /// A claim that holds of the account today.
    Claim(ClaimId),
}

/// A pass that is to be made for a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ToShow {
    /// Of what.
    pub(super) source: Source,
    /// What it shows.
    pub(super) shows: Shown,
}

/// All that is at hand, each with what it is made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Holdings {
    sources: Vec<Source>,
    /// For who chooses.
    pub(super) all: Vec<Holding>,
}

impl Holdings {
    /// The book of each stamp that was chosen.
    pub(super) fn books(&self, choice: &Choice) -> Vec<BookId> {
        let sources = choice.passes.iter().map(|chosen| self.sources[chosen.holding]);
        sources.filter_map(|source| if let Source::Book(book) = source { Some(book) } else { None }).collect()
    }

    /// Each stake that was chosen.
    pub(super) fn stakes(&self, choice: &Choice) -> Vec<BookId> {
        let sources = choice.passes.iter().map(|chosen| self.sources[chosen.holding]);
        sources.filter_map(|source| if let Source::Stake(stake) = source { Some(stake) } else { None }).collect()
    }

    /// What was chosen, in the order of the holdings.
    pub(super) fn to_show(&self, choice: &Choice) -> Vec<ToShow> {
        let mut passes = choice.passes.clone();
        passes.sort_by_key(|chosen| chosen.holding);
        let to_show = |Chosen { holding, shows }| ToShow { source: self.sources[holding], shows };
        passes.into_iter().map(to_show).collect()
    }
}

impl FromIterator<(Source, Holding)> for Holdings {
    fn from_iter<T: IntoIterator<Item = (Source, Holding)>>(iter: T) -> Self {
        let (sources, all) = iter.into_iter().unzip();
        Self { sources, all }
    }
}

impl Client {
    /// What could go with a letter now: to a recipient, if there is one yet.
    pub(super) fn holdings(
        &self,
        recipient: Option<&Recipient>,
        network: &NetworkInfo,
    ) -> Result<Holdings, StateError> {
        let Some(identity) = self.state.identity()? else { return Ok(Holdings::default()) };
        let mut all = self.other_holdings(&identity, recipient, None)?;
        all.extend(self.book_holdings(&identity, recipient, network)?);
        Ok(all.into_iter().collect())
    }

    /// What could go with a letter to which stamps belong already: those, and what is no stamp. The latter is not written down
    /// with the letter but chosen anew with every attempt, so that what has arrived since can serve.
    pub(super) fn holdings_of(
        &self,
        identity: &Identity,
        recipient: &Recipient,
        outgoing: &Outgoing,
    ) -> Result<Holdings, LettersError> {
        let mut all = self.other_holdings(identity, Some(recipient), Some(outgoing.letter.id))?;
        // Last, in the order in which they were taken, as postmarks name them.
        for usage in &outgoing.stamps {
            let (_, group, _) = self.book(usage.book)?;
            let tag_blocked = self.is_tag_blocked(identity, recipient, usage.book);
            all.push((Source::Stamp(*usage), Holding::Book { group, left: 1, tag_blocked }));
        }
        Ok(all.into_iter().collect())
    }

    /// What is no stamp.
    fn other_holdings(
        &self,
        identity: &Identity,
        recipient: Option<&Recipient>,
        envelope: Option<EnvelopeId>,
    ) -> Result<Vec<(Source, Holding)>, StateError> {
        let connection = recipient.map(|recipient| self.connection_to(recipient)).transpose()?.flatten();
        let connection = connection.map(|letter| (Source::Connection(letter), Holding::Connection));
        // Before the node was asked what it offers, nothing is chosen for a letter.
        let limit = self.node.get().and_then(|node| node.network().member_limit);
        let member = match limit {
            Some(limit) if !self.is_member_blocked(identity, recipient) => {
                self.has_free_letters(identity, limit, envelope)?
            }
            _ => false,
        };
        let member = member.then_some((Source::Member, Holding::Member));
        let stakes = self.stake_holdings(identity, recipient, envelope)?;
        // A claim shows a pseudonym, and there is none towards nobody.
        let towards = recipient.map(|recipient| {
            let blocked = recipient.policy.as_ref().map_or(&[][..], |policy| &policy.blocked_tags);
            (Topic::Invite(recipient.bundle.account()), blocked)
        });
        let claims = towards.map(|towards| self.claim_holdings(identity, towards, envelope)).transpose()?;
        Ok(connection.into_iter().chain(claims.into_iter().flatten()).chain(member).chain(stakes).collect())
    }

    /// Whether a recipient blocked the tag that the account's memberships of this quarter show to it.
    fn is_member_blocked(&self, identity: &Identity, recipient: Option<&Recipient>) -> bool {
        recipient.is_some_and(|recipient| {
            let blocked = recipient.policy.as_ref().map_or(&[][..], |policy| &policy.blocked_tags);
            let scope = || derive::scope(self.network, &Topic::Invite(recipient.bundle.account()));
            let secret = || identity.postal_seed().member_secret(identity.generation());
            !blocked.is_empty() && blocked.contains(&secret().tag(scope()))
        })
    }

    /// The letter in whose conversation the recipient attested a connection that counts now.
    fn connection_to(&self, recipient: &Recipient) -> Result<Option<EnvelopeId>, StateError> {
        let peer = recipient.bundle.account();
        let [held, _] = self.state.words_with(peer)?;
        let Some(Word { said: Said::Held(attested), letter, .. }) = held else { return Ok(None) };
        let is_revoked = recipient.policy.as_ref().is_some_and(|it| it.revoked_attestations.contains(&attested.hash()));
        let identity_key = &recipient.bundle.bundle().keys.identity_key;
        // The journal may have told of the attestation before it told of the letter.
        let is_known = || -> Result<bool, StateError> {
            Ok(self.state.kept_conversations()?.iter().any(|kept| kept.letter.id == letter))
        };
        let counts = attested.expires_at > self.now()
            && !is_revoked
            && !self.is_used_up(&attested.holder)
            && attested.verify(self.network, peer, identity_key).is_ok()
            && is_known()?;
        Ok(counts.then_some(letter))
    }

    /// The key that shows a connection, and what was attested of it. None if it is known no more.
    pub(super) fn connection_pass(
        &self,
        letter: EnvelopeId,
        envelope: &Envelope,
    ) -> Result<Option<Connection>, StateError> {
        let Some(kept) = self.state.kept_conversations()?.into_iter().find(|kept| kept.letter.id == letter) else {
            return Ok(None);
        };
        let own = if kept.letter.from() == self.account() { Author::Inviter } else { Author::Invitee };
        let peer = if own == Author::Inviter { kept.letter.to() } else { kept.letter.from() };
        let [held, _] = self.state.words_with(peer)?;
        let Some(Word { said: Said::Held(attested), .. }) = held else { return Ok(None) };
        let channel = kept.letter.conversation(self.network);
        let key = channel.holder_key(own);
        let fits = key.public() == attested.holder;
        Ok(fits.then(|| key.connection(self.network, envelope.id(self.network), &attested)))
    }

    /// Whether a node said today that a connection's quota is used up.
    fn is_used_up(&self, holder: &[u8; 32]) -> bool {
        let today = self.now().epoch();
        self.used_up().iter().any(|(known, epoch)| known == holder && *epoch == today)
    }

    /// Remembers that until the day is over.
    pub(super) fn note_used_up(&self, holder: [u8; 32]) {
        let today = self.now().epoch();
        let mut used_up = self.used_up();
        used_up.retain(|(_, epoch)| *epoch == today);
        used_up.push((holder, today));
    }

    fn used_up(&self) -> MutexGuard<'_, Vec<([u8; 32], Epoch)>> {
        self.used_up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stakes that have an index left today, or have one already that belongs to the envelope.
    pub(super) fn stake_holdings(
        &self,
        identity: &Identity,
        recipient: Option<&Recipient>,
        envelope: Option<EnvelopeId>,
    ) -> Result<Vec<(Source, Holding)>, StateError> {
        let (view, _) = self.state.journal()?;
        let epoch = self.clock.now().epoch();
        let usable = |stake: &Stake| {
            let own = envelope.and_then(|envelope| view.stake_index_of(stake.id, epoch, envelope));
            let is_here = stake.id.installation == self.state.installation();
            // What was taken over is shared by the journal, or not used.
            stake.position().is_some()
                && (is_here || self.node.get().is_some_and(|node| node.network().member_limit.is_some()))
                && (own.is_some() || left_of_day(&view, stake, epoch) > 0)
                && !recipient.is_some_and(|it| self.is_tag_blocked(identity, it, stake.id))
        };
        let stakes = self.state.stakes()?.into_iter().filter(usable);
        Ok(stakes.map(|stake| (Source::Stake(stake.id), Holding::Stake { tier: stake.tier })).collect())
    }

    /// The claims that may be shown at a topic whose owner blocks these tags, and have an index left today, or one that is the
    /// envelope's already.
    pub(super) fn claim_holdings(
        &self,
        identity: &Identity,
        (topic, blocked): (Topic, &[Tag]),
        envelope: Option<EnvelopeId>,
    ) -> Result<Vec<(Source, Holding)>, StateError> {
        let (view, _) = self.state.journal()?;
        let (epoch, purpose) = (self.now().epoch(), Purpose::Envelope);
        let has_own = envelope.is_some_and(|id| view.index_of(id, purpose, epoch).is_some());
        // Without a slot, none of its indices is used.
        let slot = view.slot(self.state.installation(), epoch);
        let is_left = |held: &HeldClaim| {
            slot.is_none_or(|slot| view.index_to_reserve(slot, purpose, epoch, held.limit).is_some())
        };
        let scope = derive::scope(self.network, &topic);
        let holding = |held: HeldClaim| {
            let ClaimGroup { id, generation } = held.group;
            let tag = identity.postal_seed().claim_secret(generation).tag(scope);
            (!blocked.contains(&tag)).then_some((Source::Claim(id), Holding::Claim { id, tag }))
        };
        Ok(self.held_claims().into_iter().filter(|held| has_own || is_left(held)).filter_map(holding).collect())
    }

    /// The books whose stamps are good now.
    pub(super) fn book_holdings(
        &self,
        identity: &Identity,
        recipient: Option<&Recipient>,
        network: &NetworkInfo,
    ) -> Result<Vec<(Source, Holding)>, StateError> {
        let (view, _) = self.state.journal()?;
        let holding = |book: Book| {
            let issue = book.bought()?.issue;
            // What was taken over is shared by the journal, or not used.
            let usable = self.is_good(issue) && (network.member_limit.is_some() || !book.taken_over);
            let left = self.left(&view, &book);
            (usable && left > 0).then(|| {
                let tag_blocked = recipient.is_some_and(|it| self.is_tag_blocked(identity, it, book.id));
                let group = StampGroup { denomination: book.denomination, issue };
                (Source::Book(book.id), Holding::Book { group, left, tag_blocked })
            })
        };
        Ok(self.state.books()?.into_iter().filter_map(holding).collect())
    }

    /// Whether a recipient blocked the tag that a book's stamps, or a stake's passes, show to it.
    pub(super) fn is_tag_blocked(&self, identity: &Identity, recipient: &Recipient, book: BookId) -> bool {
        let blocked = recipient.policy.as_ref().map_or(&[][..], |policy| &policy.blocked_tags);
        let scope = || derive::scope(self.network, &Topic::Invite(recipient.bundle.account()));
        let secret = || identity.postal_seed().book_secret(&book.installation, book.counter);
        !blocked.is_empty() && blocked.contains(&secret().tag(scope()))
    }
}
