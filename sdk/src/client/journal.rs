//! The journal, read and written; and the openings of conversations, for which the journal says which index to use.

use std::time::Duration;

use xmtp_proto::derive::{EnvelopeId, OperatorId, Purpose};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::opening::{self, MAX_QUOTA};
use xmtp_proto::pass::Pass;
use xmtp_proto::postmark::SignedPostmark;
use xmtp_proto::refusal::{Code, Refusal};
use xmtp_proto::submission::Submission;
use xmtp_proto::time::{Epoch, Generation};
use xmtp_prover::{Limit, Position};

use super::{Client, ProvingKeyError, Step};
use crate::conversation::ConversationError;
use crate::franking::{FrankError, leaf_of};
use crate::identity::Identity;
use crate::journal::{self, Entry, IndexName, JOURNAL_INDEX, View};
use crate::membership::{Found, MemberToUse, find_member, member};
use crate::message::{Channel, SealMessageError};
use crate::state::{Letter, MemberIndex};
use crate::transport::{Connection, MemberGroup, Order, Role};

/// Records asked for at once.
const PAGE: u32 = 100;
/// Pages read in one go; the next call goes on. To have read too little does no harm: what is written on that ground counts
/// for nothing, and is written again.
const MAX_PAGES: usize = 1_000;
/// How often an entry is written because another installation was faster.
const ATTEMPTS: usize = 2 * journal::SLOTS as usize;
/// Proofs made for one opening at most: again under newer roots, should the first ones have just expired.
const PROOFS: usize = 2;
/// How long a node is given to take an account among its members.
const ROOT_PATIENCE: Duration = Duration::from_secs(30);
/// How often it is asked meanwhile.
const ROOT_INTERVAL: Duration = Duration::from_millis(500);

impl Client {
    /// Reads on in the journal: what other installations have written, and what became of the own entries.
    pub(crate) async fn read_journal(&self, identity: &Identity) -> Result<View, ConversationError> {
        // One reader at a time, so that each entry is read once and what it grants is received once.
        let _turn = self.reading.lock().await;
        let channel = journal::channel(identity);
        let issue_seconds = self.deployment.issue_seconds.into();
        let connection = self.connection(Role::Reading).await?;
        for _ in 0..MAX_PAGES {
            let (mut view, from) = self.state.journal()?;
            let page = connection.query(channel.topic(), from, Order::OldestFirst, PAGE).await?;
            let Some(last) = page.records.last() else { return Ok(view) };
            let to = last.postmark.postmark.cursor;
            let (mut conversations, mut grants) = (Vec::new(), Vec::new());
            for record in &page.records {
                // What does not open is another program's: nobody else can write here.
                let Ok(opened) = channel.open(record.submission.envelope()) else { continue };
                let Ok(Some(entry)) = Entry::from_secret_bytes(&opened.content) else { continue };
                grants.extend(view.apply(&entry, record.postmark.postmark.accepted_at, issue_seconds));
                if let Entry::Conversation(letter) = entry {
                    conversations.push(*letter);
                }
            }
            self.state.read_journal(from, (&view, to), &conversations)?;
            self.receive(grants)?;
            if !page.more {
                break;
            }
        }
        Ok(self.state.journal()?.0)
    }

    /// Writes the conversations into the journal that it does not have yet.
    pub(crate) async fn journal_conversations(&self, identity: &Identity) -> Result<(), ConversationError> {
        let missing = |client: &Self| -> Result<Vec<Letter>, ConversationError> {
            let kept = client.state.kept_conversations()?.into_iter();
            Ok(kept.filter(|kept| !kept.journaled).map(|kept| kept.letter).collect())
        };
        if missing(self)?.is_empty() {
            return Ok(());
        }
        // Another installation may have been faster.
        self.read_journal(identity).await?;
        for letter in missing(self)? {
            let without_message = letter.without_message();
            self.step(Step::Journaling);
            match self.write_journal(identity, &[Entry::Conversation(letter.into())]).await {
                Err(ConversationError::Seal(SealMessageError::TooLarge { .. })) => {
                    self.write_journal(identity, &[Entry::Conversation(without_message.into())]).await?;
                }
                other => other?,
            }
        }
        self.read_journal(identity).await?;
        self.step(Step::Journaled);
        Ok(())
    }

    /// The index for an envelope: reserved in the journal and read back, in a slot that was claimed and read back.
    async fn reserve(
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
        self.publish_opening(identity, &opening, index).await
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
            let path = self.find_membership(identity, group, limit).await?.path;
            let keys = self.keys().await?;
            self.step(Step::Proving);
            let secret = identity.postal_seed().member_secret(generation);
            let (place, envelope) = (self.place(), opening.clone());
            let proved = tokio::task::spawn_blocking(move || {
                let (epoch, index) = (index.epoch, index.index());
                let purpose = Purpose::Opening;
                let to_use = MemberToUse { group, secret: &secret, limit, purpose, epoch, index };
                member(&keys.proving, &keys.verifying, place, &envelope, &to_use, &path)
            });
            let pass = Pass::Member(proved.await.map_err(|_| ProvingKeyError::Interrupted)??);
            self.step(Step::Proved);
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
