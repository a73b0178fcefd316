//! Mail as it comes: what is behind the client's cursors, then what is new, in one stream that mends itself.
//!
//! The stream is pulled. It holds two connections, one for letters and one for conversations, no queue but of what is on disk,
//! and no task, and does nothing while nobody asks for the next item. What it brings counts as read when the next item is
//! asked for, and only then moves a cursor on disk: a program that dies while it handles a letter gets that one again, and
//! none is lost.

mod reader;
mod source;

use std::time::Duration;

use alloy::primitives::Address;
use futures_util::Stream;
use futures_util::stream::try_unfold;
use xmtp_proto::account::Account;

use crate::client::{Builder, Client, ConnectError, NoIdentity};
use crate::inbox::{InboxError, Message, Unverified, Which};
use crate::state::StateError;
use crate::transport::TransportError;
use reader::Reader;
use source::Source;

/// What the stream brings.
pub enum Arrival {
    /// A genuine letter.
    Letter(Message),
    /// A genuine message of a conversation that was begun or accepted, of either side: what another client of this account
    /// wrote comes too.
    Message {
        /// The other side.
        with: Account,
        /// What was written.
        message: Message,
    },
    /// Something that came and is genuine neither as a letter nor as a message.
    Unverified(Unverified),
    /// The node is gone for now. Nothing is lost: the stream goes on behind the last cursor.
    Interrupted {
        /// What happened.
        reason: TransportError,
        /// How long the next attempt waits.
        again_in: Duration,
    },
}

/// What to stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Letters, and the conversations that follow them.
    All,
    /// Letters.
    Letters,
}

/// The stream has ended, and trying again would not help.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// See there.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// See there.
    #[error(transparent)]
    NoIdentity(#[from] NoIdentity),
    /// The node answers wrongly, or serves another network. Use another node.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The node has become another operator's, with another log: the cursor means nothing there. The user's to decide.
    #[error("the node now belongs to operator {got}, not to {expected}: how far was read cannot be told in its log")]
    OtherOperator {
        /// Before.
        expected: Address,
        /// Now.
        got: Address,
    },
    /// See there.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<InboxError> for StreamError {
    fn from(error: InboxError) -> Self {
        match error {
            InboxError::NoIdentity(error) => error.into(),
            InboxError::Transport(error) => error.into(),
            InboxError::State(error) => error.into(),
        }
    }
}

impl Client {
    /// Streams what comes to this account, from the first that this client has not read ([`Which::New`]) or the first there
    /// is, without gap or repeat; each conversation in its order. Conversations that begin meanwhile, here or at another of
    /// the account's installations, come along. It connects again by itself, after waits that grow from a fraction of a
    /// second to half a minute, and ends only with an error that no further attempt could mend.
    ///
    /// While it is asked for the next item it also does what this client put off ([`Client::settle`]).
    pub fn stream(&self, what: What, which: Which) -> impl Stream<Item = Result<Arrival, StreamError>> + Send + '_ {
        stream(Source::held(self), what, which)
    }
}

impl Builder {
    /// As [`Client::stream`], with a client of its own that is there only while something comes: other processes can use the
    /// account's state meanwhile. To open the state again takes a signature of the wallet.
    ///
    /// From an item on until it has waited a moment for the next, the stream has the state: who waits for that between two
    /// items, to answer one for instance, waits for ever. For that there is [`Client::stream`].
    pub fn stream(self, what: What, which: Which) -> impl Stream<Item = Result<Arrival, StreamError>> + Send {
        stream(Source::lent(self), what, which)
    }
}

fn stream(source: Source<'_>, what: What, which: Which) -> impl Stream<Item = Result<Arrival, StreamError>> + Send {
    #[allow(clippy::large_enum_variant)] // There is one of it per stream.
    enum Stage<'a> {
        New(Source<'a>),
        Reading(Box<Reader<'a>>),
    }
    try_unfold(Stage::New(source), move |stage| async move {
        let mut reader = match stage {
            Stage::New(source) => Box::new(Reader::new(source, what, which).await?),
            Stage::Reading(reader) => reader,
        };
        let arrival = reader.next().await?;
        Ok(Some((arrival, Stage::Reading(reader))))
    })
}
