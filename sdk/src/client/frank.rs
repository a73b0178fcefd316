//! The passes of a letter: the paths of their leaves, and their proofs; those of stamps finished from blanks where there are
//! any.

use std::time::Duration;

use xmtp_proto::derive;
use xmtp_proto::pass::{self, Pass};
use xmtp_proto::requirement::Shown;
use xmtp_prover::{Blank, Path, Position};

use super::holdings::{Source, ToShow};
use super::send::Errand;
use super::{Client, ProvingKeyError, SendError, Step};
use crate::franking::{FrankError, Ground, StampToUse, Towards, find_path, finish, leaf_of, stamp};
use crate::identity::Identity;
use crate::state::{Book, BookId, BooksError, LettersError, Outgoing, StampUse};
use crate::transport::{StampGroup, VolumeRoot};

/// How long a node is given to see a book that was just bought.
const ROOT_PATIENCE: Duration = Duration::from_secs(30);
/// How often it is asked meanwhile.
const ROOT_INTERVAL: Duration = Duration::from_millis(500);

/// A pass, and all that its proof needs but the key.
pub(super) enum Prepared {
    Stamp(Box<PreparedStamp>),
}

/// A stamp of a book.
pub(super) struct PreparedStamp {
    book: Book,
    usage: StampUse,
    group: StampGroup,
    tagged: bool,
    root: VolumeRoot,
    path: Path,
    /// Whether it had a blank.
    ahead: bool,
}

impl Prepared {
    /// Under which root it is proved.
    pub(super) fn root(&self) -> Option<VolumeRoot> {
        match self {
            Self::Stamp(stamp) => Some(stamp.root),
        }
    }

    /// Whether it had been proved before the letter was written.
    pub(super) fn was_ahead(&self) -> bool {
        match self {
            Self::Stamp(stamp) => stamp.ahead,
        }
    }
}

impl Client {
    /// A book that was bought, its group, and where its leaf is.
    pub(super) fn book(&self, id: BookId) -> Result<(Book, StampGroup, Position), LettersError> {
        let book = self.state.book(id)?.ok_or(BooksError::Unknown(id))?;
        let bought = book.bought().ok_or(BooksError::NotBought(id))?;
        Ok((book, StampGroup { denomination: book.denomination, issue: bought.issue }, bought.position))
    }

    /// Finds the path of each book's leaf, each once.
    pub(super) async fn find_paths(&self, errand: &mut Errand, books: &[BookId]) -> Result<(), SendError> {
        let identity = self.identity()??;
        for id in books {
            if errand.paths.iter().any(|(known, ..)| known == id) {
                continue;
            }
            if let Some(Ground { root, path, .. }) = self.stock().ground(*id, self.now()) {
                errand.paths.push((*id, root, path));
                continue;
            }
            let (book, group, position) = self.book(*id)?;
            let leaf = leaf_of(&identity.postal_seed().book_secret(&id.installation, id.counter), book.count);
            let started = tokio::time::Instant::now();
            let (root, path) = loop {
                match find_path(&errand.connection, group, position, leaf).await {
                    Err(FrankError::NotYetRooted) if started.elapsed() < ROOT_PATIENCE => {
                        self.step(Step::WaitingForRoot);
                        tokio::time::sleep(ROOT_INTERVAL).await;
                    }
                    other => break other?,
                }
            };
            errand.paths.push((*id, root, path));
        }
        Ok(())
    }

    /// Finds what the proofs need.
    pub(super) async fn prepare(&self, errand: &mut Errand, to_show: &[ToShow]) -> Result<Vec<Prepared>, SendError> {
        let mut prepared = Vec::with_capacity(to_show.len());
        for ToShow { source, shows } in to_show {
            let tagged = matches!(shows, Shown::Stamp { tagged: true, .. });
            prepared.push(match *source {
                Source::Stamp(usage) => Prepared::Stamp(Box::new(self.prepare_stamp(errand, usage, tagged).await?)),
                // A stamp belongs to a letter before it is shown.
                Source::Book(_) => return Err(LettersError::Misfit.into()),
            });
        }
        Ok(prepared)
    }

    async fn prepare_stamp(
        &self,
        errand: &mut Errand,
        usage: StampUse,
        tagged: bool,
    ) -> Result<PreparedStamp, SendError> {
        self.find_paths(errand, &[usage.book]).await?;
        let (book, group, _) = self.book(usage.book)?;
        let found = errand.paths.iter().find(|(id, ..)| *id == usage.book);
        let (_, root, path) = found.ok_or(FrankError::NotYetRooted)?;
        Ok(PreparedStamp { book, usage, group, tagged, root: *root, path: path.clone(), ahead: false })
    }

    /// Makes the passes.
    pub(super) async fn frank(
        &self,
        identity: &Identity,
        outgoing: &Outgoing,
        prepared: &mut [Prepared],
    ) -> Result<Vec<Pass>, SendError> {
        let mut passes = Vec::with_capacity(prepared.len());
        for prepared in prepared {
            passes.push(match prepared {
                Prepared::Stamp(it) => Pass::Stamp(self.frank_stamp(identity, outgoing, it).await?),
            });
        }
        Ok(passes)
    }

    /// Makes a stamp, of a blank if there is one. It is on record for this envelope: this is asked of the record, not assumed.
    async fn frank_stamp(
        &self,
        identity: &Identity,
        outgoing: &Outgoing,
        prepared: &mut PreparedStamp,
    ) -> Result<pass::Stamp, SendError> {
        let PreparedStamp { ref book, usage, group, tagged, ref path, .. } = *prepared;
        if self.state.envelope_of(usage)? != Some(outgoing.letter.id) {
            return Err(LettersError::Misfit.into());
        }
        let topic = outgoing.envelope.topic;
        let towards = if tagged { Towards::One(derive::scope(self.network, &topic)) } else { Towards::Anybody };
        let blank = self.stock().take(usage, towards, self.now());
        if let Some((blank, checkpoint)) = blank {
            self.step(Step::Proving);
            if let Ok(stamp) = self.finish(identity, outgoing, (usage, group), blank, tagged).await {
                (prepared.root, prepared.ahead) = (checkpoint, true);
                self.step(Step::Proved);
                return Ok(stamp);
            }
        }
        let keys = self.keys().await?;
        self.step(Step::Proving);
        let secret = identity.postal_seed().book_secret(&usage.book.installation, usage.book.counter);
        let (place, envelope, path) = (self.place(), outgoing.envelope.clone(), path.clone());
        let (count, index) = (book.count, usage.index);
        let proved = tokio::task::spawn_blocking(move || {
            let to_use = StampToUse { group, secret: &secret, count, index, tagged };
            stamp(&keys.proving, &keys.verifying, place, &envelope, &to_use, &path)
        });
        let stamp = proved.await.map_err(|_| ProvingKeyError::Interrupted)??;
        self.step(Step::Proved);
        Ok(stamp)
    }

    /// Finishes a blank. Whatever goes wrong, the stamp can still be proved in the ordinary way.
    async fn finish(
        &self,
        identity: &Identity,
        outgoing: &Outgoing,
        (usage, group): (StampUse, StampGroup),
        blank: Blank,
        tagged: bool,
    ) -> Result<pass::Stamp, SendError> {
        let keys = self.keys().await?;
        let secret = identity.postal_seed().book_secret(&usage.book.installation, usage.book.counter);
        let (network, envelope) = (self.network, outgoing.envelope.clone());
        let finished = tokio::task::spawn_blocking(move || {
            finish(blank, &keys.verifying, network, &envelope, (group, &secret, tagged))
        });
        Ok(finished.await.map_err(|_| ProvingKeyError::Interrupted)??)
    }
}
