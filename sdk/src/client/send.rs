//! Sending: seal, choose, write down, prove, publish; and the same once more for what did not get through.
//!
//! The order matters. What can be asked is asked first; then the journal grants stamps to this session; then letter and stamps
//! are written down together; only then is a proof made. From there on the letter is what it is: whatever fails, the next
//! attempt sends the same envelope with the same stamps, and a letter that arrived is never sent twice.

use xmtp_proto::account::{Account, InvalidAccount};
use xmtp_proto::derive::{Denomination, EnvelopeId};
use xmtp_proto::malformed::Malformed;
use xmtp_proto::pass::Pass;
use xmtp_proto::postmark::SignedPostmark;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::requirement::Shown;
use xmtp_proto::submission::Submission;
use xmtp_proto::time::{MAX_AGE_FRANKED, Timestamp};

use super::frank::{Paths, Prepared};
use super::holdings::{Source, ToShow};
use super::outbox::{is_final, is_passing};
use super::{AskError, Client, DEV_CHAIN, NoIdentity, ProvingKeyError, Recipient, Resent, SMALL_GROUP, Step, Unsent};
use crate::content::{Content, InvalidContent};
use crate::conversation::ConversationError;
use crate::franking::{FrankError, Holding, NoPass, Occasion, choose, choose_more};
use crate::identity::Identity;
use crate::invite::{Invitation, SealError, seal_invite};
use crate::keys::NoRandomness;
use crate::state::{BookId, BooksError, Delivery, Letter, LettersError, Outgoing, StakesError, StateError, Supply};
use crate::transport::{Role, RootKind, StampGroup, TransportError};

/// How often stamps are chosen because another client of the account took the rest of a book meanwhile, or the chain took one back.
const CHOICES: usize = 8;
/// Proofs made for one letter at most: again under newer roots, should the first ones have just expired.
const PROOFS: usize = 2;

/// A letter to be sent, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// To whom.
    pub to: Account,
    /// What to write.
    pub text: String,
    /// The most to pay, in units; by default [`Recipient::spending_limit`].
    pub max_price: Option<u32>,
    /// Attach nothing and let the node judge.
    pub without_passes: bool,
    /// Spend even from a group of so few books that it hides nobody.
    pub from_small_groups: bool,
}

/// A letter that was delivered to the recipient's topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// To whom.
    pub to: Account,
    /// The envelope's name.
    pub envelope: EnvelopeId,
    /// The operator's receipt.
    pub postmark: SignedPostmark,
    /// What its passes showed.
    pub passes: Vec<Shown>,
    /// The stamps that were cancelled for it.
    pub stamps: Vec<Denomination>,
    /// Whether the recipient can tell the sender's letters apart by a pseudonym.
    pub tagged: bool,
    /// Among how many books each of the stamps hid, at least; none if there are no stamps.
    pub cover: Option<u32>,
    /// Whether a root was used that says that its user could not wait.
    pub fresh_root: bool,
    /// Whether the stamps were taken by the record on this machine alone, because the node keeps no journal: another copy of
    /// this client would take them again.
    pub unshared: bool,
    /// How many times its usual postage the network asked, for its node was busy: 1 if it was not.
    pub times: u32,
    /// How many of its stamps had been prepared.
    pub prepared: usize,
    /// What became of letters from before.
    pub before: Resent,
}

/// The letter was not delivered, unless a variant says that this is not known.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Not an account. The user's to mend.
    #[error(transparent)]
    Account(#[from] InvalidAccount),
    /// See there.
    #[error(transparent)]
    NoIdentity(#[from] NoIdentity),
    /// See there.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// See there.
    #[error(transparent)]
    Content(#[from] InvalidContent),
    /// See there.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// See there.
    #[error(transparent)]
    NoPass(#[from] Box<NoPass>),
    /// The cheapest stamps at hand are worth more than may be spent without asking. The user's to decide.
    #[error(
        "the cheapest stamps at hand that suffice are worth {needed} units, and at most {limit} may be spent on this letter{}",
        if *times == 1 { String::new() } else { format!(": the node is busy, and asks {times} times the network's postage") }
    )]
    SpendLimit {
        /// Units.
        needed: u32,
        /// Units.
        limit: u32,
        /// How many times its usual postage the network asks now, for its node is busy; 1 if it is not.
        times: u32,
    },
    /// A stamp hides among the books of its group, and these are too few. The user's to decide.
    #[error(
        "the stamps' group has {books} books only, so a stamp of it says nearly who bought it; at least {SMALL_GROUP} are wanted"
    )]
    SmallGroup {
        /// Books in the volume.
        books: u32,
    },
    /// No stamp could be reserved in the journal, and none was used. See there.
    #[error("no stamp could be reserved in the account's journal: {0}")]
    Reservation(#[from] ConversationError),
    /// See there.
    #[error(transparent)]
    ProvingKey(#[from] ProvingKeyError),
    /// See there.
    #[error(transparent)]
    Frank(#[from] FrankError),
    /// The connection's quota of the day is used up, and nothing else at hand suffices. Wait for midnight UTC.
    #[error("the connection's quota for today is used up; it starts anew at midnight UTC")]
    UsedUp,
    /// A node said no. The stamps that were shown to it belong to this letter; the same letter may be sent again.
    #[error("the node refused the letter: {0}")]
    Refused(Refusal),
    /// Whether the letter arrived is not known. It is kept, and sent again with the next one.
    #[error("{0}; the letter is kept and sent again with the next one")]
    Unknown(#[source] TransportError),
    /// See there.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The letter breaks a limit. A mistake of this crate's.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// See there.
    #[error(transparent)]
    Stakes(#[from] StakesError),
    /// See there.
    #[error(transparent)]
    Letters(#[from] LettersError),
    /// See there.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// See there.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Draft {
    /// A letter at the default limit.
    #[must_use]
    pub fn new(to: Account, text: impl Into<String>) -> Self {
        Self { to, text: text.into(), max_price: None, without_passes: false, from_small_groups: false }
    }
}

/// One recipient, a connection for nothing else, and the paths that were found on it.
struct Errand {
    recipient: Recipient,
    paths: Paths,
}

impl Client {
    /// Writes to an account: as plain as that.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send(&self, to: &str, text: &str) -> Result<Sent, SendError> {
        self.send_draft(Draft::new(to.parse()?, text)).await
    }

    /// Sends a letter. Letters from before that did not get through are sent first, and a draft that says the same to the
    /// same account as one of those does not make a second letter.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send_draft(&self, draft: Draft) -> Result<Sent, SendError> {
        self.care_for_keys().await?;
        let identity = self.identity()??;
        let resent = self.resume(&identity, |outgoing| !is_same(outgoing, &draft)).await?;
        let mut errand = self.errand(draft.to).await?;
        let mut before = self.begun_before(&draft)?;
        if let Some(outgoing) = before.take_if(|it| it.delivery == Delivery::Pending) {
            before = if self.is_paid_for(&errand, &identity, &outgoing).await? {
                Some(outgoing)
            } else if let Some(sent) = self.arrived(&mut errand, &identity, outgoing, draft.without_passes).await? {
                return Ok(Sent { before: resent, ..sent });
            } else {
                self.begun_before(&draft)?
            };
        }
        let begun = match before {
            Some(outgoing) => self.take_up(&mut errand, &identity, &draft, outgoing).await?,
            None => None,
        };
        let outgoing = match begun {
            Some(begun) => begun,
            None => self.begin(&mut errand, &identity, &draft).await?,
        };
        let sent = match self.deliver(&mut errand, &identity, outgoing, draft.without_passes).await {
            // Of a connection, of which it knows now: another letter, then, with something else.
            Err(SendError::UsedUp) => {
                let outgoing = self.begin(&mut errand, &identity, &draft).await?;
                self.deliver(&mut errand, &identity, outgoing, draft.without_passes).await?
            }
            other => other?,
        };
        self.care_for_journal(&identity).await?;
        Ok(Sent { before: resent, ..sent })
    }

    /// Sends some letters again. What does not get through stays as it is on record: another try the next time, or refused.
    pub(super) async fn resume(
        &self,
        identity: &Identity,
        which: impl Fn(&Outgoing) -> bool,
    ) -> Result<Resent, SendError> {
        let mut resent = Resent::default();
        for outgoing in self.state.outbox()? {
            if outgoing.delivery != Delivery::Pending || !which(&outgoing) {
                continue;
            }
            let id = outgoing.letter.id;
            match self.resume_one(identity, outgoing).await {
                Ok(_) => resent.delivered += 1,
                Err(SendError::State(error)) => return Err(error.into()),
                Err(_) => resent.unsent.extend(self.state.outgoing(id)?.as_ref().map(Unsent::from)),
            }
        }
        Ok(resent)
    }

    async fn resume_one(&self, identity: &Identity, outgoing: Outgoing) -> Result<Sent, SendError> {
        let mut errand = self.errand(outgoing.letter.to()).await?;
        self.deliver(&mut errand, identity, outgoing, false).await
    }

    /// A fresh connection per recipient: nothing else is ever asked on it.
    async fn errand(&self, to: Account) -> Result<Errand, SendError> {
        let connection = self.connection(Role::AskingAndFranking).await?;
        self.step(Step::Asking);
        let recipient = self.ask(&connection, to).await?;
        Ok(Errand { recipient, paths: Paths { connection, found: Vec::new() } })
    }

    /// Makes a new letter: chooses stamps, sees that they can be proved, and writes all of it down.
    async fn begin(&self, errand: &mut Errand, identity: &Identity, draft: &Draft) -> Result<Outgoing, SendError> {
        let invitation = Invitation::new(Some(Content::text(draft.text.as_str())?))?;
        let envelope = seal_invite(identity, &errand.recipient.bundle, self.clock.now(), &invitation)?;
        let stamps = if draft.without_passes {
            Vec::new()
        } else {
            self.take_stamps(errand, identity, envelope.units(), &[], draft).await?
        };
        let letter = Letter::sent(identity, &errand.recipient.bundle, &envelope, invitation);
        self.step(Step::WritingDown);
        let outgoing = self.state.begin_letter(letter, envelope, &stamps)?;
        self.step(Step::WrittenDown);
        Ok(outgoing)
    }

    /// A letter from before that says the same, and may still be sent.
    fn begun_before(&self, draft: &Draft) -> Result<Option<Outgoing>, StateError> {
        let now = self.clock.now();
        Ok(self.state.outbox()?.into_iter().find(|outgoing| is_open(outgoing, now) && is_same(outgoing, draft)))
    }

    /// Whether the stamps that belong to a letter, and what is no stamp, suffice now.
    async fn is_paid_for(&self, errand: &Errand, identity: &Identity, outgoing: &Outgoing) -> Result<bool, SendError> {
        let demand = errand.recipient.demand(outgoing.envelope.units());
        self.look_for_claims(identity, &demand).await;
        Ok(choose(&demand, &self.holdings_of(identity, &errand.recipient, outgoing)?.all).is_some())
    }

    /// Sends a letter again of which it is not known whether it arrived, with what is left of its passes: a node that has it
    /// says so, whatever goes with it now. None if it has not.
    async fn arrived(
        &self,
        errand: &mut Errand,
        identity: &Identity,
        outgoing: Outgoing,
        without_passes: bool,
    ) -> Result<Option<Sent>, SendError> {
        match self.deliver(errand, identity, outgoing, without_passes).await {
            Err(SendError::Refused(refusal)) if !is_passing(&refusal) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Goes on with a letter that says the same, with more stamps if the price rose. None if it can no longer be paid for
    /// with what is at hand and a new one must be made.
    async fn take_up(
        &self,
        errand: &mut Errand,
        identity: &Identity,
        draft: &Draft,
        outgoing: Outgoing,
    ) -> Result<Option<Outgoing>, SendError> {
        if draft.without_passes {
            return Ok(outgoing.stamps.is_empty().then_some(outgoing));
        }
        if self.is_paid_for(errand, identity, &outgoing).await? {
            return Ok(Some(outgoing));
        }
        let units = outgoing.envelope.units();
        let own = self.holdings_of(identity, &errand.recipient, &outgoing)?;
        // With their tags, where those are not blocked: that is the most they can show.
        let already: Vec<Shown> = own.all.iter().filter_map(most_shown).collect();
        match self.take_stamps(errand, identity, units, &already, draft).await {
            Ok(stamps) => {
                self.step(Step::WritingDown);
                let outgoing = self.state.add_stamps(outgoing.letter.id, &stamps)?;
                self.step(Step::WrittenDown);
                Ok(Some(outgoing))
            }
            Err(SendError::NoPass(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Stamps that suffice, and that nobody else of the account has.
    async fn take_stamps(
        &self,
        errand: &mut Errand,
        identity: &Identity,
        units: u32,
        already: &[Shown],
        draft: &Draft,
    ) -> Result<Vec<Supply>, SendError> {
        for _ in 0..CHOICES {
            let books = match self.choose(errand, identity, units, already, draft).await {
                // The chain took it back just now: something else, then.
                Err(SendError::Letters(LettersError::Books(BooksError::NotBought(_))))
                | Err(SendError::Stakes(StakesError::NotLocked(_))) => continue,
                other => other?,
            };
            if let Some(stamps) = self.reserve_stamps(identity, &books).await? {
                return Ok(stamps);
            }
        }
        Err(ConversationError::NotGranted.into())
    }

    /// The books to take a stamp of each from, within the limit, and whose leaves the node has under good roots.
    async fn choose(
        &self,
        errand: &mut Errand,
        identity: &Identity,
        units: u32,
        already: &[Shown],
        draft: &Draft,
    ) -> Result<Vec<BookId>, SendError> {
        self.look_for_unfinished().await?;
        let demand = &errand.recipient.demand(units);
        self.look_for_claims(identity, demand).await;
        let network = self.node().await?.network();
        let mut holdings = self.holdings(Some(&errand.recipient), network)?;
        let mut choice = choose_more(demand, already, &holdings.all);
        if choice.is_none() && network.member_limit.is_some() {
            // Another session may have handed some over.
            self.read_journal(identity).await?;
            holdings = self.holdings(Some(&errand.recipient), network)?;
            choice = choose_more(demand, already, &holdings.all);
        }
        let choice = choice.ok_or_else(|| Box::new(NoPass::new(Occasion::Letter, demand.clone(), &self.deployment)))?;
        let needed = choice.cost.units + already.iter().map(units_of).sum::<u32>();
        let limit = draft.max_price.unwrap_or_else(|| errand.recipient.spending_limit(units));
        if needed > limit {
            return Err(SendError::SpendLimit { needed, limit, times: errand.recipient.congestion.times });
        }
        let books = holdings.books(&choice);
        self.find_paths(&mut errand.paths, &books).await?;
        self.find_paths(&mut errand.paths, &holdings.stakes(&choice)).await?;
        let small = errand.paths.found.iter().map(|(_, root, _)| root.leaves).find(|leaves| *leaves < SMALL_GROUP);
        if let (Some(books), false) = (small, self.deployment.chain_id == DEV_CHAIN || draft.from_small_groups) {
            return Err(SendError::SmallGroup { books });
        }
        Ok(books)
    }

    /// Proves the passes of a letter, publishes it, and writes down what became of it.
    async fn deliver(
        &self,
        errand: &mut Errand,
        identity: &Identity,
        outgoing: Outgoing,
        without_passes: bool,
    ) -> Result<Sent, SendError> {
        let id = outgoing.letter.id;
        self.look_for_claims(identity, &errand.recipient.demand(outgoing.envelope.units())).await;
        let to_show = if without_passes { Vec::new() } else { self.to_show(&errand.recipient, identity, &outgoing)? };
        let (mut refusal, mut holder) = (None, None);
        for _ in 0..PROOFS {
            let mut prepared = self.prepare(&mut errand.paths, &to_show).await?;
            let passes = self.frank(identity, &outgoing.envelope, &mut prepared).await?;
            holder = passes.iter().find_map(|it| if let Pass::Connection(it) = it { Some(it.holder) } else { None });
            // What it is shown with now is on record too.
            let belonging = self.belonging(identity, &outgoing)?;
            let submission = Submission::new(outgoing.envelope.clone(), passes)?;
            self.step(Step::Publishing);
            let result =
                errand.paths.connection.publish_letter(submission, belonging).await.map_err(SendError::Unknown)?;
            self.step(Step::Published);
            match result {
                Ok(postmark) => {
                    self.state.record_delivery(id, Delivery::Delivered(postmark))?;
                    self.step(Step::Recorded);
                    let sent = sent(&outgoing, postmark, &to_show, &prepared);
                    let unshared = !sent.stamps.is_empty() && !self.keeps_journal().await?;
                    return Ok(Sent { unshared, times: errand.recipient.congestion.times, ..sent });
                }
                Err(it @ (Refusal::RootExpired | Refusal::RootUnknown)) => {
                    outgoing.stamps.iter().for_each(|usage| self.stock().give_up(usage.book));
                    errand.paths.found.clear();
                    self.forget_claims();
                    self.look_for_claims(identity, &errand.recipient.demand(outgoing.envelope.units())).await;
                    refusal = Some(it);
                }
                Err(it) => {
                    refusal = Some(it);
                    break;
                }
            }
        }
        let refusal = refusal.unwrap_or(Refusal::RootUnknown);
        if let (Some(holder), Refusal::QuotaExhausted) = (holder, &refusal) {
            self.note_used_up(holder);
            self.state.record_delivery(id, Delivery::Refused(refusal.code()))?;
            return Err(SendError::UsedUp);
        }
        if !is_passing(&refusal) {
            self.state.record_delivery(id, Delivery::Refused(refusal.code()))?;
        }
        Err(SendError::Refused(refusal))
    }

    /// The passes of a letter without which the demand is not met: the price may have fallen since its stamps were taken. All
    /// of its stamps, if nothing suffices.
    fn to_show(
        &self,
        recipient: &Recipient,
        identity: &Identity,
        outgoing: &Outgoing,
    ) -> Result<Vec<ToShow>, LettersError> {
        let holdings = self.holdings_of(identity, recipient, outgoing)?;
        if let Some(choice) = choose(&recipient.demand(outgoing.envelope.units()), &holdings.all) {
            return Ok(holdings.to_show(&choice));
        }
        let stamps = self.groups(outgoing)?.into_iter().zip(&outgoing.stamps);
        let to_show = stamps.map(|(StampGroup { denomination, .. }, usage)| ToShow {
            source: Source::Stamp(*usage),
            shows: Shown::Stamp { denomination, tagged: false },
        });
        Ok(to_show.collect())
    }
}

/// Whether a letter may still be sent: not delivered, with stamps of its own or nothing known of it, and young enough.
fn is_open(outgoing: &Outgoing, now: Timestamp) -> bool {
    now.since(outgoing.envelope.sent_at) < MAX_AGE_FRANKED
        && match outgoing.delivery {
            Delivery::Pending => true,
            Delivery::Refused(code) if is_final(code) => false,
            Delivery::Refused(_) => !outgoing.stamps.is_empty(),
            Delivery::Delivered(_) => false,
        }
}

fn is_same(outgoing: &Outgoing, draft: &Draft) -> bool {
    let text = outgoing.letter.invitation.message().and_then(Content::as_text);
    outgoing.letter.to() == draft.to && text == Some(draft.text.as_str())
}

/// What a stamp that belongs to a letter can show at most.
pub(super) const fn most_shown(holding: &Holding) -> Option<Shown> {
    match holding {
        Holding::Book { group, tag_blocked, .. } => {
            Some(Shown::Stamp { denomination: group.denomination, tagged: !*tag_blocked })
        }
        Holding::Connection | Holding::Member | Holding::Claim { .. } | Holding::Stake { .. } => None,
    }
}

pub(super) const fn units_of(shown: &Shown) -> u32 {
    if let Shown::Stamp { denomination, .. } = shown { denomination.units() } else { 0 }
}

fn sent(outgoing: &Outgoing, postmark: SignedPostmark, to_show: &[ToShow], prepared: &[Prepared]) -> Sent {
    let passes: Vec<Shown> = to_show.iter().map(|it| it.shows).collect();
    let roots = || prepared.iter().filter_map(Prepared::root);
    Sent {
        to: outgoing.letter.to(),
        envelope: outgoing.letter.id,
        postmark,
        stamps: passes
            .iter()
            .filter_map(|it| if let Shown::Stamp { denomination, .. } = it { Some(*denomination) } else { None })
            .collect(),
        tagged: passes.iter().any(|it| matches!(it, Shown::Stamp { tagged: true, .. })),
        passes,
        cover: roots().map(|root| root.leaves).min(),
        fresh_root: roots().any(|root| root.kind == RootKind::Fresh),
        unshared: false,
        times: 1,
        prepared: prepared.iter().filter(|it| it.was_ahead()).count(),
        before: Resent::default(),
    }
}
