//! Conversations: what follows a letter, free of postage and both ways (litepaper 4.2).
//!
//! ```no_run
//! # async fn example(client: xmtp_sdk::client::Client) -> Result<(), Box<dyn std::error::Error>> {
//! # use xmtp_sdk::inbox::Which;
//! let peer = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045".parse()?;
//! if let Some(conversation) = client.conversation(peer).await? {
//!     conversation.send("Thank you for your letter").await?;
//!     for message in conversation.messages(Which::New).await?.messages {
//!         println!("{}: {:?}", message.from, message.content.and_then(|it| it.as_text().map(str::to_owned)));
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A letter begins a conversation; to answer is to accept it. Whoever writes first opens it, by a proof of membership; from
//! then on a message costs one signature. What neither began nor was answered is not read.

use std::collections::HashSet;

use xmtp_proto::account::Account;
use xmtp_proto::derive::EnvelopeId;
use xmtp_proto::envelope::Envelope;
use xmtp_proto::malformed::Malformed;
use xmtp_proto::postmark::{Cursor, SignedPostmark};
use xmtp_proto::record::Record;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::time::Timestamp;
use xmtp_proto::topic::Topic;

use crate::client::{Client, Copies, NoIdentity, ProvingKeyError, Resent, Step, is_passing};
use crate::content::{Content, InvalidContent};
use crate::franking::FrankError;
use crate::identity::Identity;
use crate::inbox::{Failed, Inbox, InboxError, Message, Reason, Which, unverified};
use crate::message::{Channel, SealMessageError};
use crate::state::{self, Letter, MembershipsError, StateError};
use crate::transport::{Order, Role, TransportError};

mod resend;

use resend::Renewed;

/// Records asked for at once.
const PAGE: u32 = 100;
/// Pages read in one go; the next call goes on.
const MAX_PAGES: usize = 1_000;
/// Records named at once: as many are in memory.
const NAMED_AT_ONCE: u64 = 64;

/// A conversation with another account.
pub struct Conversation<'a> {
    client: &'a Client,
    letter: Letter,
    channel: Channel,
    is_accepted: bool,
}

/// A message that was delivered to the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMessage {
    /// To whom.
    pub to: Account,
    /// The envelope's name.
    pub envelope: EnvelopeId,
    /// The operator's receipt.
    pub postmark: SignedPostmark,
    /// Whether the conversation had to be opened for it, by a proof of membership.
    pub opened: bool,
    /// What became of messages from before.
    pub before: Resent,
}

/// The conversation was not read, or written to, unless a variant says that this is not known.
#[derive(Debug, thiserror::Error)]
pub enum ConversationError {
    /// See there.
    #[error(transparent)]
    NoIdentity(#[from] NoIdentity),
    /// See there.
    #[error(transparent)]
    Content(#[from] InvalidContent),
    /// See there.
    #[error(transparent)]
    Seal(#[from] SealMessageError),
    /// This node keeps no group of members, so it opens no conversations. Use another.
    #[error("this node opens no conversations: it keeps no group of members")]
    NoMembers,
    /// The account's membership was of a quarter that is over. The user's to mend: attest the keys anew.
    #[error("the account's membership is of generation {0}, which is over: its keys must be attested anew")]
    GenerationOver(u32),
    /// Sixteen other installations of this account have opened conversations within the last days, or claim to.
    #[error("all slots for installations of this account are taken: wait for a day, or use one of the others")]
    NoSlot,
    /// The log has grown by more than is read in one go. What came is kept: try again, and it goes on from there.
    #[error("more came than is read in one go; what came is kept: try again")]
    Behind,
    /// So many conversations can be opened in a day. Wait for midnight UTC.
    #[error("this installation can open no more conversations today: the count starts anew at midnight UTC")]
    UsedUp,
    /// Other sessions of the account were faster many times over, or the node does not show what it accepted. Try again, or
    /// use another node.
    #[error(
        "the journal granted nothing: other clients of the account were faster each time, or the node hides what it took"
    )]
    NotGranted,
    /// See there.
    #[error(transparent)]
    Memberships(#[from] MembershipsError),
    /// See there.
    #[error(transparent)]
    ProvingKey(#[from] ProvingKeyError),
    /// See there.
    #[error(transparent)]
    Frank(#[from] FrankError),
    /// A node said no.
    #[error("the node refused the message: {0}")]
    Refused(Refusal),
    /// Whether the message arrived is not known. It is kept, and sent again with the next one.
    #[error("{0}; the message is kept and sent again with the next one")]
    Unknown(#[source] TransportError),
    /// See there.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A message that waits was sealed with other keys than are at hand. It stays on record.
    #[error("message {0} waits to be sent, and cannot be sealed anew: it does not open")]
    Unreadable(EnvelopeId),
    /// What was to be published breaks a limit. A mistake of this crate's.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// See there.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<InboxError> for ConversationError {
    fn from(error: InboxError) -> Self {
        match error {
            InboxError::NoIdentity(error) => error.into(),
            InboxError::Transport(error) => error.into(),
            InboxError::State(error) => error.into(),
        }
    }
}

impl Client {
    /// All conversations, whoever began them, the oldest first: those of this client, and those that the account's other
    /// clients have written into the journal. Letters that came and were not answered are among them, not accepted.
    ///
    /// # Errors
    /// [`ConversationError`].
    pub async fn conversations(&self) -> Result<Vec<Conversation<'_>>, ConversationError> {
        let identity = self.identity()??;
        self.gather_letters(&identity).await?;
        self.read_journal(&identity).await?;
        let kept = self.state().kept_conversations()?;
        let known: HashSet<EnvelopeId> = kept.iter().map(|kept| kept.letter.id).collect();
        let peers: HashSet<Account> = kept.iter().map(|kept| peer_of(&kept.letter, self.account())).collect();
        let others = self.state().inbox()?.into_iter().filter(|letter| !known.contains(&letter.id));
        let mut letters: Vec<Letter> = kept.into_iter().map(|kept| kept.letter).chain(others).collect();
        letters.sort_by_key(|letter| (letter.sent_at, letter.id));
        let conversation = |letter: Letter| Conversation {
            client: self,
            channel: letter.conversation(self.network()),
            is_accepted: peers.contains(&peer_of(&letter, self.account())),
            letter,
        };
        Ok(letters.into_iter().map(conversation).collect())
    }

    /// The conversation with an account: of several, the one with the newest letter. None if neither has written yet.
    ///
    /// # Errors
    /// [`ConversationError`].
    pub async fn conversation(&self, peer: Account) -> Result<Option<Conversation<'_>>, ConversationError> {
        Ok(self.conversations().await?.into_iter().rfind(|conversation| conversation.peer() == peer))
    }

    /// With whom the account has begun or accepted conversations, and where.
    pub(crate) fn kept_topics(&self) -> Result<Vec<(Account, Topic)>, StateError> {
        let kept = self.state().kept_conversations()?;
        let topic = |letter: &Letter| (peer_of(letter, self.account()), letter.conversation(self.network()).topic());
        Ok(kept.iter().map(|kept| topic(&kept.letter)).collect())
    }

    /// One of those, by where it is.
    pub(crate) fn kept_conversation(&self, topic: &Topic) -> Result<Option<Conversation<'_>>, StateError> {
        let kept = self.state().kept_conversations()?.into_iter();
        let conversation = |letter: Letter| Conversation {
            client: self,
            channel: letter.conversation(self.network()),
            is_accepted: true,
            letter,
        };
        Ok(kept.map(|kept| conversation(kept.letter)).find(|it| it.topic() == *topic))
    }

    /// Does what was put off until now, and nothing that is to wait longer: copies conversations into the journal, so that the
    /// account's other installations find them. Returns when there is more to do; none if there is nothing.
    ///
    /// # Errors
    /// [`ConversationError`]; what was not done stays to be done.
    pub async fn settle(&self) -> Result<Option<Timestamp>, ConversationError> {
        let identity = self.identity()??;
        self.journal_conversations(&identity, Copies::Due).await?;
        Ok(self.next_copy()?)
    }

    /// Does at once what was put off, and learns what the account's other installations have done: who watches the node sees
    /// what belongs together. Returns how many conversations were copied into the journal.
    ///
    /// # Errors
    /// [`ConversationError`]; what was not done stays to be done.
    pub async fn sync(&self) -> Result<usize, ConversationError> {
        self.care_for_keys().await?;
        let identity = self.identity()??;
        self.journal_books(&identity).await?;
        self.journal_stakes(&identity).await?;
        let copies = self.journal_conversations(&identity, Copies::All).await?;
        self.read_journal(&identity).await?;
        Ok(copies)
    }

    /// Sees to it that the account's other installations find its books, its stakes and its conversations. For whoever wants something else: it is
    /// tried again with the next message.
    pub(crate) async fn care_for_journal(&self, identity: &Identity) -> Result<(), StateError> {
        for result in [
            self.journal_books(identity).await,
            self.journal_stakes(identity).await,
            self.journal_conversations(identity, Copies::Due).await.map(drop),
        ] {
            if let Err(ConversationError::State(error)) = result {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Keeps the letters that came since, and leaves them unread.
    async fn gather_letters(&self, identity: &Identity) -> Result<(), ConversationError> {
        let connection = self.connection(Role::Mine).await?;
        let topic = Topic::Invite(self.account());
        let mut cursor = self.state().cursor(&topic)?;
        for _ in 0..MAX_PAGES {
            let page = connection.query(topic, cursor, Order::OldestFirst, PAGE).await?;
            let mut letters = Vec::new();
            for record in &page.records {
                cursor = record.postmark.postmark.cursor;
                match self.open(identity, record) {
                    Ok((_, letter)) => letters.push((letter, cursor)),
                    Err(Failed::State(error)) => return Err(error.into()),
                    // The inbox says why.
                    Err(Failed::Reason(_)) => {}
                }
            }
            self.state().receive(&topic, Cursor::default(), &letters)?;
            if !page.more {
                break;
            }
        }
        Ok(())
    }
}

impl Conversation<'_> {
    /// With whom.
    #[must_use]
    pub fn peer(&self) -> Account {
        peer_of(&self.letter, self.client.account())
    }

    /// The letter that began it.
    #[must_use]
    pub const fn letter(&self) -> &Letter {
        &self.letter
    }

    /// Where it goes on.
    #[must_use]
    pub const fn topic(&self) -> Topic {
        self.channel.topic()
    }

    /// Whether this account has written to the other one, a letter or an answer.
    #[must_use]
    pub const fn is_accepted(&self) -> bool {
        self.is_accepted
    }

    /// Writes plain text, and so accepts the conversation.
    ///
    /// # Errors
    /// [`ConversationError`].
    pub async fn send(&self, text: &str) -> Result<SentMessage, ConversationError> {
        self.send_content(&Content::text(text)?).await
    }

    /// Writes a message, and so accepts the conversation. Messages from before of which it is not known whether they arrived
    /// are sent again first, and [`SentMessage::before`] says what became of them; one that says the same does not make a
    /// second message.
    ///
    /// # Errors
    /// [`ConversationError`].
    pub async fn send_content(&self, content: &Content) -> Result<SentMessage, ConversationError> {
        self.client.care_for_keys().await?;
        let identity = self.client.identity()??;
        let state = self.client.state();
        self.client.step(Step::WritingDown);
        state.keep_conversation(&self.letter)?;
        self.client.step(Step::WrittenDown);
        let bytes = content.to_bytes();
        let (mut same, mut before) = (None, Resent::default());
        for envelope in state.posts(&self.topic())? {
            if same.is_none() && self.channel.open(&envelope).is_ok_and(|it| *it.content == bytes) {
                same = Some(envelope);
            } else {
                self.resend(&identity, envelope, &mut before).await?;
            }
        }
        let renewed = match same {
            Some(envelope) => self.renew(&identity, envelope).await?,
            None => {
                let envelope = self.channel.seal(&identity, self.client.now(), &bytes)?;
                self.client.step(Step::WritingDown);
                state.begin_post(&envelope)?;
                self.client.step(Step::WrittenDown);
                Renewed::Open(envelope)
            }
        };
        let sent = match renewed {
            Renewed::Arrived(sent) => *sent,
            Renewed::Open(envelope) => {
                let id = envelope.id(self.client.network());
                let delivered = self.deliver(&identity, envelope).await;
                if let Err(ConversationError::Refused(refusal)) = &delivered
                    && !is_passing(refusal)
                {
                    state.end_post(id)?;
                }
                delivered?
            }
        };
        // From here on somebody knows.
        before.refused().try_for_each(|id| state.end_post(id))?;
        self.client.care_for_journal(&identity).await?;
        Ok(SentMessage { before, ..sent })
    }

    fn sent(&self, envelope: EnvelopeId, postmark: SignedPostmark, opened: bool) -> SentMessage {
        SentMessage { to: self.peer(), envelope, postmark, opened, before: Resent::default() }
    }

    /// What both have written, in the order in which it was accepted. Remembers how far it read.
    ///
    /// # Errors
    /// [`ConversationError`].
    pub async fn messages(&self, which: Which) -> Result<Inbox, ConversationError> {
        let identity = self.client.identity()??;
        let topic = self.topic();
        self.client.read_on(&identity, topic).await?;
        self.name_messages()?;
        let mut cursor = match which {
            Which::All => Cursor::default(),
            Which::New => self.client.state().cursor(&topic)?,
        };
        let (mut read, mut ids) = (Inbox::default(), Vec::new());
        for record in &self.client.state().records(&topic, cursor)? {
            cursor = record.postmark.postmark.cursor;
            match self.read(record) {
                Ok(message) => {
                    ids.push(message.envelope);
                    read.messages.push(message);
                }
                Err(Failed::State(error)) => return Err(error.into()),
                Err(Failed::Reason(reason)) => read.unverified.push(unverified(&identity, record, reason)),
            }
        }
        self.client.state().read_messages(&topic, cursor, &ids)?;
        Ok(read)
    }

    /// Finds out which kept records bring a message that none before them brought. Comes before they are read.
    pub(crate) fn name_messages(&self) -> Result<(), StateError> {
        let (topic, state) = (self.topic(), self.client.state());
        loop {
            let unnamed = state.unnamed(&topic, NAMED_AT_ONCE)?;
            if unnamed.records.is_empty() {
                return Ok(());
            }
            let signed = |record: &Record| Some(self.channel.open(record.submission.envelope()).ok()?.signed);
            state.name(&topic, &unnamed, &unnamed.records.iter().map(signed).collect::<Vec<_>>())?;
        }
    }

    /// Takes in what was attested in it, and leaves its messages unread.
    pub(crate) async fn listen(&self) -> Result<(), ConversationError> {
        let identity = self.client.identity()??;
        self.client.read_on(&identity, self.topic()).await?;
        self.name_messages()?;
        for record in &self.client.state().records(&self.topic(), Cursor::default())? {
            if let Err(Failed::State(error)) = self.read(record) {
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Opens and verifies a record of the conversation.
    pub(crate) fn read(&self, record: &Record) -> Result<Message, Failed> {
        let envelope = record.submission.envelope();
        let id = envelope.id(self.client.network());
        let opened = self.channel.open(envelope).map_err(Reason::from)?;
        let author = self.channel.party(opened.author);
        let cursor = record.postmark.postmark.cursor;
        if self.client.state().first_of(opened.signed)?.is_some_and(|first| first != cursor) {
            return Err(Reason::Repeated(author.account).into());
        }
        let seen = self.client.state().seen(author.account, state::Record::Bundle)?;
        // What was genuine when it was first read stays so.
        if seen.is_some_and(|seen| seen.has_replaced(author.revision, &author.identity_key))
            && !self.client.state().has_read(id)?
        {
            return Err(Reason::KeysReplaced(author.account).into());
        }
        let message = Message {
            envelope: id,
            cursor,
            from: author.account,
            sent_at: envelope.sent_at,
            accepted_at: record.postmark.postmark.accepted_at,
            content: Some(Content::from_bytes(&opened.content).map_err(Reason::from)?),
            units_paid: 0,
            tag: None,
        };
        self.hear(&message, &author.identity_key)?;
        Ok(message)
    }

    pub(crate) const fn client(&self) -> &Client {
        self.client
    }

    pub(crate) const fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Publishes a message that was written down, and opens the conversation if it is not. One that was refused stays on record.
    async fn deliver(&self, identity: &Identity, envelope: Envelope) -> Result<SentMessage, ConversationError> {
        let id = envelope.id(self.client.network());
        let connection = self.client.connection(Role::Posting).await?;
        self.client.step(Step::Publishing);
        let mut opened = false;
        let mut result = self.client.post(&connection, &self.channel, envelope.clone()).await?;
        self.client.step(Step::Published);
        if let Err(Refusal::RequirementUnmet { .. }) = result {
            self.client.open_conversation(identity, &self.channel).await?;
            opened = true;
            self.client.step(Step::Publishing);
            result = self.client.post(&connection, &self.channel, envelope).await?;
            self.client.step(Step::Published);
        }
        match result {
            Ok(postmark) => {
                self.client.state().end_post(id)?;
                self.client.step(Step::Recorded);
                Ok(self.sent(id, postmark, opened))
            }
            Err(refusal) => Err(ConversationError::Refused(refusal)),
        }
    }
}

/// Who is not `me`; oneself in a letter to oneself.
fn peer_of(letter: &Letter, me: Account) -> Account {
    if letter.from() == me { letter.to() } else { letter.from() }
}
