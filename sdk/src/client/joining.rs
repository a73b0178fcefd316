//! Joining: the account's first key bundle, and what the network asks to go with it (docs/protocol.md, "Topics",
//! "Installations"; docs/decisions/0029-joining.md).
//!
//! The order is that of letters: choose, write down, prove, publish. What differs is that there is no journal yet, which only
//! members have: so the record on this machine alone says which index belongs to the bundle, and the journal is told as soon
//! as there is one, before the vault lets other installations in. The bundle's bytes follow from the keys, the time on its
//! envelope too: copies of this client that join at the same time make the same envelope.

use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::Tag;
use xmtp_proto::pass::Pass;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::requirement::{Requirement, Shown};
use xmtp_proto::submission::Submission;
use xmtp_proto::time::{MAX_AGE_FRANKED, Timestamp};
use xmtp_proto::topic::Topic;

use super::frank::Paths;
use super::holdings::{Holdings, Source};
use super::outbox::is_final;
use super::send::{most_shown, units_of};
use super::{Client, PublishError, Published, SendError, Step};
use crate::conversation::ConversationError;
use crate::franking::{Demand, Holding, NoPass, Occasion, choose, choose_more};
use crate::identity::Identity;
use crate::journal::Entry;
use crate::state::{BookId, BooksError, Joining, LettersError, Record, StakesError, StateError};
use crate::transport::{Connection, Order, Role};

/// How often is chosen because the chain took something back.
const CHOICES: usize = 8;
/// Proofs made at most: again under newer roots, should the first ones have just expired.
const PROOFS: usize = 2;

/// An account that has joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Its keys, as they stand on the network.
    pub published: Published,
    /// What went with them, because the network asks for it.
    pub passes: Vec<Shown>,
}

/// The account has not joined. The keys that were made stay, and joining can be tried again.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// See there.
    #[error(transparent)]
    NoPass(#[from] Box<NoPass>),
    /// The cheapest stamps at hand are worth more than may be spent without asking. The user's to decide.
    #[error(
        "the cheapest stamps at hand that suffice are worth {needed} units, and at most {limit} may be spent on joining"
    )]
    SpendLimit {
        /// Units.
        needed: u32,
        /// Units.
        limit: u32,
    },
    /// A pass was not made. See there.
    #[error(transparent)]
    Pass(Box<SendError>),
}

impl From<SendError> for PublishError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::State(error) => error.into(),
            SendError::Transport(error) => error.into(),
            other => JoinError::Pass(other.into()).into(),
        }
    }
}

impl From<LettersError> for PublishError {
    fn from(error: LettersError) -> Self {
        SendError::from(error).into()
    }
}

impl From<BooksError> for PublishError {
    fn from(error: BooksError) -> Self {
        LettersError::from(error).into()
    }
}

/// Whether an envelope of ours with passes is the account's first key bundle: later ones have none but its owner's.
pub(super) const fn is_first_bundle(envelope: &Envelope) -> bool {
    matches!(envelope.topic, Topic::Contact(_))
}

impl Client {
    /// Publishes the account's first key bundle, with the cheapest passes at hand that the network asks for.
    pub(super) async fn join(
        &self,
        mine: &Connection,
        identity: &Identity,
        max_price: Option<u32>,
    ) -> Result<Joined, PublishError> {
        let demand = Demand::new(&self.node().await?.network().joining_requirement, None, 1);
        if demand.is_met_by(&[]) {
            return Ok(Joined { published: self.publish_bundle(mine, identity).await?, passes: Vec::new() });
        }
        self.look_for_unfinished().await?;
        self.look_for_claims(identity, &demand).await;
        // Which leaf it asks a path for is not to be read off the connection that names the account.
        let connection = self.connection(Role::AskingAndFranking).await?;
        let mut paths = Paths { connection, found: Vec::new() };
        let joining = self.begin_to_join(&mut paths, identity, &demand, max_price).await?;
        self.publish_joining(mine, &mut paths, identity, (&demand, joining)).await
    }

    /// What went with the first key bundle, as the log has it.
    pub(super) async fn shown_at_joining(&self, mine: &Connection) -> Result<Vec<Shown>, PublishError> {
        let topic = Topic::Contact(self.account());
        let page = mine.query(topic, Cursor::default(), Order::OldestFirst, 1).await?;
        Ok(page.records.iter().flat_map(|record| record.submission.passes()).filter_map(shown).collect())
    }

    /// Whether the account has joined: only then it has a journal.
    pub(super) async fn has_joined(&self) -> Result<bool, ConversationError> {
        if self.state.seen(self.account(), Record::Bundle)?.is_some() {
            return Ok(true);
        }
        Ok(self.connection(Role::Mine).await?.key_bundle(self.account()).await?.is_some())
    }

    /// What the journal has to be told: the indices of stakes that joining took when there was none.
    pub(super) fn untold_of_joining(&self) -> Result<Vec<Entry>, StateError> {
        let Some(joining) = self.state.joining()? else { return Ok(Vec::new()) };
        let (envelope, (view, _)) = (joining.envelope.id(self.network), self.state.journal()?);
        let untold = |index: &_| !view.is_stake_index_reserved(index);
        let indices = self.state.stakes_of(envelope)?.into_iter().filter(|it| it.epoch.counts_at(self.now()));
        Ok(indices.filter(untold).map(|index| Entry::StakeReservation { index, envelope }).collect())
    }

    /// Writes the bundle down with the stamps that it takes, or goes on with what was written down, with more stamps if the
    /// price rose.
    async fn begin_to_join(
        &self,
        paths: &mut Paths,
        identity: &Identity,
        demand: &Demand,
        max_price: Option<u32>,
    ) -> Result<Joining, PublishError> {
        let (bundle, now) = (identity.bundle().to_bytes(), self.now());
        let before = self.state.joining()?.filter(|it| it.envelope.ciphertext == bundle);
        let is_refused = before.as_ref().is_some_and(|it| it.refused.is_some());
        let begun = before.filter(|it| it.refused.is_none() && is_young(it.envelope.sent_at, now));
        let holdings = begun.as_ref().map(|it| self.holdings_to_join(identity, it)).transpose()?;
        let already: Vec<Shown> = holdings.iter().flat_map(|it| &it.all).filter_map(most_shown).collect();
        let suffices = holdings.is_some_and(|it| choose(demand, &it.all).is_some());
        if let Some(begun) = begun.clone().filter(|_| suffices) {
            return Ok(begun);
        }
        let books = self.choose_to_join(paths, identity, demand, (&already, max_price)).await?;
        self.step(Step::WritingDown);
        let joining = match begun {
            Some(begun) => self.state.add_to_joining(begun, &books)?,
            None => {
                let made_at = identity.prekey_created_at();
                let sent_at = if is_refused || !is_young(made_at, now) { now } else { made_at };
                self.state.begin_joining(sent_at, bundle, &books)?
            }
        };
        self.step(Step::WrittenDown);
        Ok(joining)
    }

    /// The books to take a stamp of each from, within the limit, and whose leaves the node has under good roots, as it has those
    /// of what else is chosen. Among how few they hide does not matter: the topic says who joins.
    async fn choose_to_join(
        &self,
        paths: &mut Paths,
        identity: &Identity,
        demand: &Demand,
        (already, max_price): (&[Shown], Option<u32>),
    ) -> Result<Vec<BookId>, PublishError> {
        let mut choices = 1;
        loop {
            let network = self.node().await?.network();
            let mut all = self.other_holdings_to_join(identity, None)?;
            all.extend(self.book_holdings(identity, None, network)?);
            let holdings: Holdings = all.into_iter().collect();
            let choice = choose_more(demand, already, &holdings.all).ok_or_else(|| self.no_pass_to_join(demand))?;
            let needed = choice.cost.units + already.iter().map(units_of).sum::<u32>();
            let limit = max_price.unwrap_or_else(limit_of_joining);
            if needed > limit {
                return Err(JoinError::SpendLimit { needed, limit }.into());
            }
            let books = holdings.books(&choice);
            let found = match self.find_paths(paths, &books).await {
                Ok(()) => self.find_paths(paths, &holdings.stakes(&choice)).await,
                error => error,
            };
            match found {
                // The chain took it back just now: something else, then.
                Err(SendError::Letters(LettersError::Books(BooksError::NotBought(_))))
                | Err(SendError::Stakes(StakesError::NotLocked(_)))
                    if choices < CHOICES =>
                {
                    choices += 1;
                }
                other => return Ok(other.map(|()| books)?),
            }
        }
    }

    /// Proves what the bundle takes, and publishes it.
    async fn publish_joining(
        &self,
        mine: &Connection,
        paths: &mut Paths,
        identity: &Identity,
        (demand, joining): (&Demand, Joining),
    ) -> Result<Joined, PublishError> {
        let (bundle, envelope) = (identity.verified_bundle(), joining.envelope.clone());
        let holdings = self.holdings_to_join(identity, &joining)?;
        let choice = choose(demand, &holdings.all).ok_or_else(|| self.no_pass_to_join(demand))?;
        let to_show = holdings.to_show(&choice);
        let mut refusal = Refusal::RootUnknown;
        for _ in 0..PROOFS {
            let mut prepared = self.prepare(paths, &to_show).await?;
            let mut passes = self.frank(identity, &envelope, &mut prepared).await?;
            passes.insert(0, Pass::Owner(identity.sign_owner(envelope.id(self.network))));
            let submission = Submission::new(envelope.clone(), passes)?;
            self.step(Step::Publishing);
            let result = mine.publish_one(submission, Some(Cursor::default())).await?;
            self.step(Step::Published);
            match result {
                Ok(postmark) => {
                    let published = Published { bundle, cursor: postmark.postmark.cursor };
                    return Ok(Joined { published, passes: to_show.iter().map(|it| it.shows).collect() });
                }
                // Somebody with this wallet was faster.
                Err(Refusal::HeadMoved { .. }) => return Err(PublishError::Exists(self.account())),
                Err(it @ (Refusal::RootExpired | Refusal::RootUnknown)) => {
                    paths.found.clear();
                    self.forget_claims();
                    self.look_for_claims(identity, demand).await;
                    refusal = it;
                }
                Err(it) => {
                    refusal = it;
                    break;
                }
            }
        }
        if is_final(refusal.code()) {
            self.state.refuse_joining(joining, refusal.code())?;
        }
        Err(PublishError::Refused { what: "key bundle", refusal })
    }

    /// What can go with the bundle: the stamps that belong to it, and what is no stamp.
    fn holdings_to_join(&self, identity: &Identity, joining: &Joining) -> Result<Holdings, LettersError> {
        let mut all = self.other_holdings_to_join(identity, Some(joining))?;
        for usage in &joining.stamps {
            let (_, group, _) = self.book(usage.book)?;
            all.push((Source::Stamp(*usage), Holding::Book { group, left: 1, tag_blocked: false }));
        }
        Ok(all.into_iter().collect())
    }

    /// Claims and stakes. Nobody is a member yet, nor connected to the network.
    fn other_holdings_to_join(
        &self,
        identity: &Identity,
        joining: Option<&Joining>,
    ) -> Result<Vec<(Source, Holding)>, StateError> {
        let envelope = joining.map(|it| it.envelope.id(self.network));
        let nobody: &[Tag] = &[];
        let mut all = self.claim_holdings(identity, (Topic::Contact(self.account()), nobody), envelope)?;
        all.extend(self.stake_holdings(identity, None, envelope)?);
        Ok(all)
    }

    fn no_pass_to_join(&self, demand: &Demand) -> JoinError {
        Box::new(NoPass::new(Occasion::Joining, demand.clone(), &self.deployment)).into()
    }
}

/// What may be spent on joining without asking: twice what networks ask by default. What a node says of its network moves
/// nothing here: its operator earns by it.
fn limit_of_joining() -> u32 {
    let usual = Demand::new(&Requirement::default_for_joining(), None, 1);
    usual.offer().map_or(0, |offer| offer.units()).saturating_mul(2)
}

/// Whether nodes still take an envelope with passes.
fn is_young(sent_at: Timestamp, now: Timestamp) -> bool {
    now.since(sent_at) < MAX_AGE_FRANKED
}

/// What a pass of a first key bundle showed.
const fn shown(pass: &Pass) -> Option<Shown> {
    match pass {
        Pass::Stamp(it) => Some(Shown::Stamp { denomination: it.denomination, tagged: it.nonce.is_none() }),
        Pass::Stake(it) => Some(Shown::Stake { tier: it.tier }),
        Pass::Claim(it) => Some(Shown::Claim { id: it.id, tag: it.proof.tag }),
        Pass::Member(_) | Pass::Connection(_) | Pass::Posting(_) | Pass::Owner(_) | Pass::Issuer(_) => None,
    }
}
