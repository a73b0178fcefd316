//! The journal, read and written; and the openings of conversations, for which the journal says which index to use.

use std::time::Duration;

use xmtp_proto::derive::{EnvelopeId, OperatorId, Purpose};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::opening::{self, MAX_QUOTA};
use xmtp_proto::pass::{self, Pass};
use xmtp_proto::postmark::{Cursor, SignedPostmark};
use xmtp_proto::record::Record;
use xmtp_proto::refusal::{Code, Refusal};
use xmtp_proto::submission::Submission;
use xmtp_proto::time::{Epoch, Generation, Timestamp};
use xmtp_prover::{Limit, Position};

use super::reading::Reached;
use super::{Client, ProvingKeyError, Step};
use crate::conversation::ConversationError;
use crate::franking::{FrankError, leaf_of};
use crate::identity::Identity;
use crate::journal::{self, Entry, IndexName, JOURNAL_INDEX, View};
use crate::keys::{NoRandomness, random_up_to};
use crate::membership::{Found, MemberToUse, find_member, member};
use crate::message::{Channel, SealMessageError};
use crate::state::{JournalCopy, KeptWord, Letter, MemberIndex, Stake, StateError};
use crate::transport::{Connection, MemberGroup, Role};

/// The longest wait before a conversation, or the journal, is opened, since somebody waits for it.
const MAX_OPENING_DELAY: Duration = Duration::from_secs(5);
/// How often an entry is written because another installation was faster.
const ATTEMPTS: usize = 2 * journal::SLOTS as usize;
/// Proofs made for one opening at most: again under newer roots, should the first ones have just expired.
const PROOFS: usize = 2;
/// How long a node is given to take an account among its members.
const ROOT_PATIENCE: Duration = Duration::from_secs(30);
/// How often it is asked meanwhile.
const ROOT_INTERVAL: Duration = Duration::from_millis(500);

/// Which copies of conversations to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copies {
    /// Those whose time has come.
    Due,
    /// All that are missing.
    All,
}

impl Client {
    /// Reads on in the journal: what other installations have written, and what became of the own entries.
    pub(crate) async fn read_journal(&self, identity: &Identity) -> Result<View, ConversationError> {
        match self.read_on(identity, journal::channel(identity).topic()).await? {
            Reached::End => Ok(self.state.journal()?.0),
            Reached::Limit => Err(ConversationError::Behind),
        }
    }

    /// Takes in what the records say that are the journal's and behind what was read of it, up to `seen`.
    pub(super) async fn apply_journal(
        &self,
        identity: &Identity,
        records: &[Record],
        seen: Cursor,
    ) -> Result<(), StateError> {
        // One at a time, so that each entry is taken in once and what it grants is received once.
        let _turn = self.reading.lock().await;
        let channel = journal::channel(identity);
        let issue_seconds = self.deployment.issue_seconds.into();
        let (mut view, from) = self.state.journal()?;
        if seen <= from {
            return Ok(());
        }
        let (mut conversations, mut words, mut grants) = (Vec::new(), Vec::new(), Vec::new());
        let mut stakes = Vec::new();
        for record in records {
            let envelope = record.submission.envelope();
            if envelope.topic != channel.topic() || record.postmark.postmark.cursor <= from {
                continue;
            }
            // What does not open is another program's: nobody else can write here.
            let Ok(opened) = channel.open(envelope) else { continue };
            let Ok(Some(entry)) = Entry::from_secret_bytes(&opened.content) else { continue };
            grants.extend(view.apply(&entry, record.postmark.postmark.accepted_at, issue_seconds));
            match entry {
                Entry::Conversation(letter) => conversations.push(*letter),
                Entry::Word(word) => words.push(word),
                Entry::Stake(known) => stakes.push(Stake::elsewhere(identity, known)),
                _ => {}
            }
        }
        self.state.read_journal(from, (&view, seen), &conversations, &words, &stakes)?;
        self.receive(grants)
    }

    /// Plans copies of new conversations and words in the journal, at random times, and makes those that are due, or all. Returns
    /// how many conversations were copied.
    pub(crate) async fn journal_conversations(
        &self,
        identity: &Identity,
        which: Copies,
    ) -> Result<usize, ConversationError> {
        self.plan_copies()?;
        let by = match which {
            Copies::Due => self.now(),
            Copies::All => Timestamp::from_nanos(u64::MAX),
        };
        let due = |client: &Self| -> Result<Vec<Letter>, ConversationError> {
            let kept = client.state.kept_conversations()?.into_iter();
            Ok(kept
                .filter(|kept| matches!(kept.copy, JournalCopy::Due(due) if due <= by))
                .map(|kept| kept.letter)
                .collect())
        };
        let due_words = |client: &Self| -> Result<Vec<Entry>, ConversationError> {
            let kept = client.state.words()?.into_iter();
            let is_due = |kept: &KeptWord| matches!(kept.copy, JournalCopy::Due(due) if due <= by);
            Ok(kept.filter(is_due).map(|kept| Entry::Word(kept.word)).collect())
        };
        if due(self)?.is_empty() && due_words(self)?.is_empty() {
            return Ok(0);
        }
        // Another installation may have been faster.
        self.read_journal(identity).await?;
        let mut copies = 0;
        for letter in due(self)? {
            let without_message = letter.without_message();
            self.step(Step::Journaling);
            match self.write_journal(identity, &[Entry::Conversation(letter.into())]).await {
                Err(ConversationError::Seal(SealMessageError::TooLarge { .. })) => {
                    self.write_journal(identity, &[Entry::Conversation(without_message.into())]).await?;
                }
                other => other?,
            }
            copies += 1;
        }
        let words = due_words(self)?;
        if !words.is_empty() && self.keeps_journal().await? {
            self.step(Step::Journaling);
            self.write_journal(identity, &words).await?;
        }
        self.read_journal(identity).await?;
        self.step(Step::Journaled);
        Ok(copies)
    }

    fn plan_copies(&self) -> Result<(), StateError> {
        let kept = self.state.kept_conversations()?;
        let now = self.clock.now();
        let wanted = kept.iter().filter(|kept| kept.copy == JournalCopy::Wanted);
        let plans = wanted.map(|kept| Ok((&kept.letter, now.saturating_add(random_up_to(self.delay)?))));
        let plans = plans.collect::<Result<Vec<_>, NoRandomness>>()?;
        if !plans.is_empty() {
            self.state.plan_copies(&plans)?;
        }
        let words = self.state.words()?.into_iter().filter(|kept| kept.copy == JournalCopy::Wanted);
        let plans = words.map(|kept| Ok((kept.word, now.saturating_add(random_up_to(self.delay)?))));
        let plans = plans.collect::<Result<Vec<_>, NoRandomness>>()?;
        if plans.is_empty() { Ok(()) } else { self.state.plan_word_copies(&plans) }
    }

    /// When the next copy is due; none if none is.
    pub(crate) fn next_copy(&self) -> Result<Option<Timestamp>, StateError> {
        let copies = self.state.kept_conversations()?.into_iter().map(|kept| kept.copy);
        let copies = copies.chain(self.state.words()?.into_iter().map(|kept| kept.copy));
        Ok(copies.filter_map(|copy| if let JournalCopy::Due(due) = copy { Some(due) } else { None }).min())
    }

    /// The index for an envelope: reserved in the journal and read back, in a slot that was claimed and read back.
    pub(super) async fn reserve(
        &self,
        identity: &Identity,
        purpose: Purpose,
        envelope: &Envelope,
        limit: Limit,
    ) -> Result<IndexName, ConversationError> {
        let id = envelope.id(self.network);
        // What was read last may be old; the log decides, and says so.
        let (mut view, mut is_fresh) = (self.state.journal()?.0, false);
        for _ in 0..ATTEMPTS {
            let epoch = self.clock.now().epoch();
            if let Some(index) = view.index_of(id, purpose, epoch) {
                return Ok(index);
            }
            match self.index_to_reserve(&view, purpose, epoch, id, limit) {
                Err(error) if is_fresh => return Err(error),
                Err(_) => view = self.read_journal(identity).await?,
                Ok(entries) => {
                    self.step(Step::Reserving);
                    self.write_journal(identity, &entries).await?;
                    view = self.read_journal(identity).await?;
                    self.step(Step::Reserved);
                }
            }
            is_fresh = true;
        }
        Err(ConversationError::NotGranted)
    }

    /// The entries that ask for an index for an envelope, and for a slot if there is none yet.
    fn index_to_reserve(
        &self,
        view: &View,
        purpose: Purpose,
        epoch: Epoch,
        envelope: EnvelopeId,
        limit: Limit,
    ) -> Result<Vec<Entry>, ConversationError> {
        let installation = self.state.installation();
        let mut entries = Vec::with_capacity(2);
        let slot = match view.slot(installation, epoch) {
            Some(slot) => slot,
            None => {
                let slot = view.slot_to_claim(installation, epoch).ok_or(ConversationError::NoSlot)?;
                entries.push(Entry::Claim { installation, slot, epoch });
                slot
            }
        };
        let index = view.index_to_reserve(slot, purpose, epoch, limit).ok_or(ConversationError::UsedUp)?;
        entries.push(Entry::Reservation { installation, index, envelope });
        Ok(entries)
    }

    /// Writes entries, in this order: one after the other, as nodes promise no order among the submissions of one call.
    pub(super) async fn write_journal(&self, identity: &Identity, entries: &[Entry]) -> Result<(), ConversationError> {
        let channel = journal::channel(identity);
        let connection = self.connection(Role::Posting).await?;
        for entry in entries {
            let envelope = channel.seal(identity, self.clock.now(), &entry.to_secret_bytes())?;
            let mut result = self.post(&connection, &channel, envelope.clone()).await?;
            if let Err(Refusal::RequirementUnmet { .. }) = result {
                self.open_journal(identity, &channel).await?;
                result = self.post(&connection, &channel, envelope).await?;
            }
            result.map_err(ConversationError::Refused)?;
        }
        Ok(())
    }

    /// Publishes a message with the posting key's pass.
    pub(crate) async fn post(
        &self,
        connection: &Connection,
        channel: &Channel,
        envelope: Envelope,
    ) -> Result<Result<SignedPostmark, Refusal>, ConversationError> {
        let pass = Pass::Posting(channel.posting(envelope.id(self.network)));
        let submission = Submission::new(envelope, vec![pass])?;
        connection.publish_one(submission, None).await.map_err(ConversationError::Unknown)
    }

    /// Today's opening of the journal is the same whichever installation makes it, and so is its index.
    async fn open_journal(&self, identity: &Identity, channel: &Channel) -> Result<(), ConversationError> {
        let sent_at = journal::opening_time(self.clock.now());
        let opening = channel.opening(sent_at, MAX_QUOTA)?;
        let index = IndexName::new(Purpose::Opening, sent_at.epoch(), JOURNAL_INDEX);
        // Nor a journal opened just when its owner asked for something.
        self.linger().await?;
        self.publish_opening(identity, &opening, index).await
    }

    /// Lets a random moment pass before an opening.
    async fn linger(&self) -> Result<(), StateError> {
        let wait = random_up_to(self.delay.min(MAX_OPENING_DELAY))?;
        if !wait.is_zero() {
            self.step(Step::Lingering);
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// Opens a conversation, for as long and as much as can be.
    pub(crate) async fn open_conversation(
        &self,
        identity: &Identity,
        channel: &Channel,
    ) -> Result<(), ConversationError> {
        let now = self.clock.now();
        self.step(Step::WritingDown);
        let opening = self.state.begin_opening(channel.opening(now, MAX_QUOTA)?, now)?;
        self.step(Step::WrittenDown);
        let (_, limit) = self.member_group(identity).await?;
        let index = self.reserve(identity, Purpose::Opening, &opening, limit).await?;
        // Who watches the node sees a journal written to just now, and must not see a conversation opened just then.
        self.linger().await?;
        self.publish_opening(identity, &opening, index).await?;
        self.state.end_opening(&channel.topic())?;
        self.step(Step::Recorded);
        Ok(())
    }

    async fn publish_opening(
        &self,
        identity: &Identity,
        opening: &Envelope,
        index: IndexName,
    ) -> Result<(), ConversationError> {
        debug_assert_eq!(opening.ciphertext.len(), opening::BYTES);
        let (group, limit) = self.member_group(identity).await?;
        let MemberGroup { operator, generation } = group;
        self.step(Step::WritingDown);
        self.state.use_index(MemberIndex { operator, generation, index }, opening.id(self.network))?;
        self.step(Step::WrittenDown);
        let mut refusal = Refusal::RootUnknown;
        for _ in 0..PROOFS {
            let pass =
                Pass::Member(self.prove_member(identity, (group, limit), Purpose::Opening, index, opening).await?);
            self.step(Step::Publishing);
            let submission = Submission::new(opening.clone(), vec![pass])?;
            // A connection of its own: nothing else is known of who opens this topic.
            let connection = self.connection(Role::Posting).await?;
            let result = connection.publish_one(submission, None).await.map_err(ConversationError::Unknown)?;
            self.step(Step::Published);
            match result {
                Ok(_) => return Ok(()),
                // By the other party, or another installation.
                Err(it) if it.code() == Code::AlreadyOpen => return Ok(()),
                Err(it @ (Refusal::RootExpired | Refusal::RootUnknown)) => refusal = it,
                Err(it) => return Err(ConversationError::Refused(it)),
            }
        }
        Err(ConversationError::Refused(refusal))
    }

    /// The membership for a letter: an index of today that the journal granted to it, and that is on record for it.
    pub(super) async fn member_for_letter(
        &self,
        identity: &Identity,
        letter: &Envelope,
    ) -> Result<pass::Member, ConversationError> {
        let (group, limit) = self.member_group(identity).await?;
        let MemberGroup { operator, generation } = group;
        let index = self.reserve(identity, Purpose::Envelope, letter, limit).await?;
        self.step(Step::WritingDown);
        self.state.use_index(MemberIndex { operator, generation, index }, letter.id(self.network))?;
        self.step(Step::WrittenDown);
        self.prove_member(identity, (group, limit), Purpose::Envelope, index, letter).await
    }

    /// Whether the journal, as far as it was read, has an index of today left for a letter, or has one that is the letter's
    /// already.
    pub(super) fn has_free_letters(
        &self,
        identity: &Identity,
        limit: Limit,
        letter: Option<EnvelopeId>,
    ) -> Result<bool, StateError> {
        let (view, _) = self.state.journal()?;
        let (installation, now) = (self.state.installation(), self.now());
        let slot = view.slot(installation, now.epoch()).or_else(|| view.slot_to_claim(installation, now.epoch()));
        let own = letter.and_then(|letter| view.index_of(letter, Purpose::Envelope, now.epoch()));
        let next = || slot.and_then(|slot| view.index_to_reserve(slot, Purpose::Envelope, now.epoch(), limit));
        Ok(own.or_else(next).is_some() && Generation(identity.generation()).counts_at(now))
    }

    async fn prove_member(
        &self,
        identity: &Identity,
        (group, limit): (MemberGroup, Limit),
        purpose: Purpose,
        index: IndexName,
        envelope: &Envelope,
    ) -> Result<pass::Member, ConversationError> {
        let path = self.find_membership(identity, group, limit).await?.path;
        let keys = self.keys().await?;
        self.step(Step::Proving);
        let secret = identity.postal_seed().member_secret(group.generation);
        let (place, envelope) = (self.place(), envelope.clone());
        let proved = tokio::task::spawn_blocking(move || {
            let (epoch, index) = (index.epoch, index.index());
            let to_use = MemberToUse { group, secret: &secret, limit, purpose, epoch, index };
            member(&keys.proving, &keys.verifying, place, &envelope, &to_use, &path)
        });
        let proved = proved.await.map_err(|_| ProvingKeyError::Interrupted)??;
        self.step(Step::Proved);
        Ok(proved)
    }

    /// The group that the account's membership is in, and the limit in its leaf.
    async fn member_group(&self, identity: &Identity) -> Result<(MemberGroup, Limit), ConversationError> {
        let network = self.node().await?.network();
        let limit = network.member_limit.ok_or(ConversationError::NoMembers)?;
        let generation = identity.generation();
        if !Generation(generation).counts_at(self.clock.now()) {
            return Err(ConversationError::GenerationOver(generation));
        }
        Ok((MemberGroup { operator: OperatorId::new(network.operator), generation }, limit))
    }

    /// The path of the account's leaf. A node takes an account among its members a moment after its key bundle.
    async fn find_membership(
        &self,
        identity: &Identity,
        group: MemberGroup,
        limit: Limit,
    ) -> Result<Found, ConversationError> {
        let MemberGroup { operator, generation } = group;
        let leaf = leaf_of(&identity.postal_seed().member_secret(generation), limit);
        let hint: Option<Position> = self.state.member_position(operator, generation)?;
        let connection = self.connection(Role::AskingAndFranking).await?;
        let started = tokio::time::Instant::now();
        let found = loop {
            match find_member(&connection, group, leaf, hint).await {
                Err(FrankError::NotYetRooted) if started.elapsed() < ROOT_PATIENCE => {
                    self.step(Step::WaitingForRoot);
                    tokio::time::sleep(ROOT_INTERVAL).await;
                }
                other => break other?,
            }
        };
        if hint != Some(found.position) {
            self.state.save_member_position(operator, generation, found.position)?;
        }
        Ok(found)
    }
}
