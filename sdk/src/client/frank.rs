//! The passes of a letter, or of the first key bundle: the paths of their leaves, and their proofs; those of stamps finished
//! from blanks where there are any.

use std::time::Duration;

use xmtp_proto::derive::{self, EnvelopeId};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::pass::{self, Pass};
use xmtp_proto::requirement::Shown;
use xmtp_prover::{Blank, Limit, Path, Position};

use super::claims::HeldClaim;
use super::holdings::{Source, ToShow};
use super::joining::is_first_bundle;
use super::{Client, ProvingKeyError, SendError, Step};
use crate::franking::{FrankError, Ground, StakeToUse, StampToUse, Towards, find_path, finish, leaf_of, stake, stamp};
use crate::identity::Identity;
use crate::journal::StakeIndex;
use crate::state::{Book, BookId, BooksError, LettersError, Stake, StakesError, StampUse};
use crate::transport::{Connection, KeptGroup, StakeGroup, StampGroup, VolumeRoot};

#[cfg(test)]
mod tests;

/// How long a node is given to see a book that was just bought.
const ROOT_PATIENCE: Duration = Duration::from_secs(30);
/// How often it is asked meanwhile.
const ROOT_INTERVAL: Duration = Duration::from_millis(500);

/// A connection, and the paths that were found on it.
pub(super) struct Paths {
    pub(super) connection: Connection,
    pub(super) found: Vec<(BookId, VolumeRoot, Path)>,
}

/// A pass, and all that its proof needs but the key.
pub(super) enum Prepared {
    Stamp(Box<PreparedStamp>),
    Stake(Box<PreparedStake>),
    /// By the letter in whose conversation it was attested.
    Connection(EnvelopeId),
    Member,
    Claim(Box<HeldClaim>),
}

/// A stake, of which the envelope will take an index.
pub(super) struct PreparedStake {
    stake: Stake,
    root: VolumeRoot,
    path: Path,
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
            Self::Stake(stake) => Some(stake.root),
            // That of a claim is judged before.
            Self::Claim(_) | Self::Connection(_) | Self::Member => None,
        }
    }

    /// Whether it had been proved before the letter was written.
    pub(super) fn was_ahead(&self) -> bool {
        match self {
            Self::Stamp(stamp) => stamp.ahead,
            Self::Stake(_) | Self::Claim(_) | Self::Connection(_) | Self::Member => false,
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

    /// The group of a book or a stake, where its leaf is, and the limit in it.
    fn place_of(&self, id: BookId) -> Result<(KeptGroup, Position, Limit), SendError> {
        let Some(stake) = self.state.stake(id)? else {
            let (book, group, position) = self.book(id)?;
            return Ok((group.into(), position, book.count));
        };
        let position = stake.position().ok_or(StakesError::NotLocked(id))?;
        Ok((StakeGroup { tier: stake.tier }.into(), position, stake.limit))
    }

    /// Finds the path of the leaf of each book or stake, each once. Where it is not, it may be elsewhere by now: the chain is asked
    /// once.
    pub(super) async fn find_paths(&self, paths: &mut Paths, ids: &[BookId]) -> Result<(), SendError> {
        let identity = self.identity()??;
        for id in ids {
            if paths.found.iter().any(|(known, ..)| known == id) {
                continue;
            }
            if let Some(Ground { root, path, .. }) = self.stock().ground(*id, self.now()) {
                paths.found.push((*id, root, path));
                continue;
            }
            let (started, mut asked) = (tokio::time::Instant::now(), false);
            let (root, path) = loop {
                let (group, position, limit) = self.place_of(*id)?;
                let leaf = leaf_of(&identity.postal_seed().book_secret(&id.installation, id.counter), limit);
                match find_path(&paths.connection, group, position, leaf).await {
                    Err(FrankError::NotYetRooted | FrankError::WrongBucket) if !asked => {
                        asked = true;
                        self.look_again(*id).await?;
                    }
                    Err(FrankError::NotYetRooted) if started.elapsed() < ROOT_PATIENCE => {
                        self.step(Step::WaitingForRoot);
                        tokio::time::sleep(ROOT_INTERVAL).await;
                    }
                    other => break other?,
                }
            };
            paths.found.push((*id, root, path));
        }
        Ok(())
    }

    /// Finds what the proofs need.
    pub(super) async fn prepare(&self, paths: &mut Paths, to_show: &[ToShow]) -> Result<Vec<Prepared>, SendError> {
        let mut prepared = Vec::with_capacity(to_show.len());
        for ToShow { source, shows } in to_show {
            let tagged = matches!(shows, Shown::Stamp { tagged: true, .. });
            prepared.push(match *source {
                Source::Stamp(usage) => Prepared::Stamp(Box::new(self.prepare_stamp(paths, usage, tagged).await?)),
                Source::Stake(id) => Prepared::Stake(Box::new(self.prepare_stake(paths, id).await?)),
                Source::Connection(letter) => Prepared::Connection(letter),
                Source::Member => Prepared::Member,
                Source::Claim(id) => {
                    let held = self.held_claims().into_iter().find(|it| it.group.id == id);
                    Prepared::Claim(Box::new(held.ok_or(FrankError::NotYetRooted)?))
                }
                // A stamp belongs to a letter before it is shown.
                Source::Book(_) => return Err(LettersError::Misfit.into()),
            });
        }
        Ok(prepared)
    }

    async fn prepare_stamp(
        &self,
        paths: &mut Paths,
        usage: StampUse,
        tagged: bool,
    ) -> Result<PreparedStamp, SendError> {
        self.find_paths(paths, &[usage.book]).await?;
        let (book, group, _) = self.book(usage.book)?;
        let found = paths.found.iter().find(|(id, ..)| *id == usage.book);
        let (_, root, path) = found.ok_or(FrankError::NotYetRooted)?;
        Ok(PreparedStamp { book, usage, group, tagged, root: *root, path: path.clone(), ahead: false })
    }

    async fn prepare_stake(&self, paths: &mut Paths, id: BookId) -> Result<PreparedStake, SendError> {
        self.find_paths(paths, &[id]).await?;
        let stake = self.state.stake(id)?.ok_or(StakesError::Unknown(id))?;
        let found = paths.found.iter().find(|(known, ..)| *known == id);
        let (_, root, path) = found.ok_or(FrankError::NotYetRooted)?;
        Ok(PreparedStake { stake, root: *root, path: path.clone() })
    }

    /// Makes the passes.
    pub(super) async fn frank(
        &self,
        identity: &Identity,
        envelope: &Envelope,
        prepared: &mut [Prepared],
    ) -> Result<Vec<Pass>, SendError> {
        let mut passes = Vec::with_capacity(prepared.len());
        for prepared in prepared {
            passes.push(match prepared {
                Prepared::Stamp(it) => Pass::Stamp(self.frank_stamp(identity, envelope, it).await?),
                Prepared::Stake(it) => Pass::Stake(self.frank_stake(identity, envelope, it).await?),
                Prepared::Member => Pass::Member(self.member_for_letter(identity, envelope).await?),
                Prepared::Connection(letter) => {
                    let connection = self.connection_pass(*letter, envelope)?;
                    Pass::Connection(connection.ok_or(LettersError::Misfit)?)
                }
                Prepared::Claim(held) => Pass::Claim(self.frank_claim(identity, envelope, held).await?),
            });
        }
        Ok(passes)
    }

    /// Makes a stamp, of a blank if there is one. It is on record for this envelope: this is asked of the record, not assumed.
    async fn frank_stamp(
        &self,
        identity: &Identity,
        envelope: &Envelope,
        prepared: &mut PreparedStamp,
    ) -> Result<pass::Stamp, SendError> {
        let PreparedStamp { ref book, usage, group, tagged, ref path, .. } = *prepared;
        if self.state.envelope_of(usage)? != Some(envelope.id(self.network)) {
            return Err(LettersError::Misfit.into());
        }
        let towards =
            if tagged { Towards::One(derive::scope(self.network, &envelope.topic)) } else { Towards::Anybody };
        let blank = self.stock().take(usage, towards, self.now());
        if let Some((blank, checkpoint)) = blank {
            self.step(Step::Proving);
            if let Ok(stamp) = self.finish(identity, envelope, (usage, group), blank, tagged).await {
                (prepared.root, prepared.ahead) = (checkpoint, true);
                self.step(Step::Proved);
                return Ok(stamp);
            }
        }
        let keys = self.keys().await?;
        self.step(Step::Proving);
        let secret = identity.postal_seed().book_secret(&usage.book.installation, usage.book.counter);
        let (place, envelope, path) = (self.place(), envelope.clone(), path.clone());
        let (count, index) = (book.count, usage.index);
        let proved = tokio::task::spawn_blocking(move || {
            let to_use = StampToUse { group, secret: &secret, count, index, tagged };
            stamp(&keys.proving, &keys.verifying, place, &envelope, &to_use, &path)
        });
        let stamp = proved.await.map_err(|_| ProvingKeyError::Interrupted)??;
        self.step(Step::Proved);
        Ok(stamp)
    }

    /// Makes a pass of a stake: an index of today is reserved for the envelope, or was before, and written down with it.
    async fn frank_stake(
        &self,
        identity: &Identity,
        envelope: &Envelope,
        prepared: &PreparedStake,
    ) -> Result<pass::Stake, SendError> {
        let PreparedStake { stake: Stake { id, tier, limit, .. }, ref path, .. } = *prepared;
        let contract = self.deployment.stake.as_ref().ok_or(StakesError::NotLocked(id))?.contract;
        let of = envelope.id(self.network);
        let StakeIndex { epoch, index, .. } = match is_first_bundle(envelope) {
            true => self.next_on_record(&prepared.stake, of)?,
            false => self.reserve_stake(identity, &prepared.stake, of).await?,
        };
        self.step(Step::WritingDown);
        self.state.use_stake(StakeIndex { stake: id, epoch, index }, of)?;
        self.step(Step::WrittenDown);
        let keys = self.keys().await?;
        self.step(Step::Proving);
        let secret = identity.postal_seed().book_secret(&id.installation, id.counter);
        let (place, envelope, path) = (self.place(), envelope.clone(), path.clone());
        let proved = tokio::task::spawn_blocking(move || {
            let to_use = StakeToUse { contract, tier, secret: &secret, limit, epoch, index };
            stake(&keys.proving, &keys.verifying, place, &envelope, &to_use, &path)
        });
        let pass = proved.await.map_err(|_| ProvingKeyError::Interrupted)??;
        self.step(Step::Proved);
        Ok(pass)
    }

    /// Finishes a blank. Whatever goes wrong, the stamp can still be proved in the ordinary way.
    async fn finish(
        &self,
        identity: &Identity,
        envelope: &Envelope,
        (usage, group): (StampUse, StampGroup),
        blank: Blank,
        tagged: bool,
    ) -> Result<pass::Stamp, SendError> {
        let keys = self.keys().await?;
        let secret = identity.postal_seed().book_secret(&usage.book.installation, usage.book.counter);
        let (network, envelope) = (self.network, envelope.clone());
        let finished = tokio::task::spawn_blocking(move || {
            finish(blank, &keys.verifying, network, &envelope, (group, &secret, tagged))
        });
        Ok(finished.await.map_err(|_| ProvingKeyError::Interrupted)??)
    }
}
