//! What was said about writing to one another: attestations issued and held, requests declined, accounts blocked. The newest
//! word about an account replaces the one before; what it said itself is kept beside.
//!
//! Nodes take every attestation that was issued until a policy revokes it or it is over, whatever was said since. So each is
//! kept, as the newest word or beside it.

use alloy::primitives::Address;
use xmtp_proto::account::Account;
use xmtp_proto::attestation::{self, Attestation};
use xmtp_proto::derive::EnvelopeId;
use xmtp_proto::time::Timestamp;

use super::conversations::JournalCopy;
use super::store::{Entries, Table};
use super::{State, StateError};
use crate::layout::{Reader, Unreadable};

/// What was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// By the other: this account may write to it.
    Held(Attestation),
    /// To the other: it may write to this account.
    Issued(Attestation),
    /// The request stays without an answer.
    Declined,
    /// The attestation counts no more.
    Revoked,
    /// Nothing of it is wanted.
    Blocked,
}

/// Something that was said between this account and another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// The other one.
    pub peer: Account,
    /// When.
    pub at: Timestamp,
    /// The letter whose conversation it was said in, or that it is about; zeros if there is none.
    pub letter: EnvelopeId,
    /// What.
    pub said: Said,
}

/// A word, and whether the journal has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptWord {
    /// What was said.
    pub word: Word,
    /// Its copy.
    pub copy: JournalCopy,
}

impl State {
    /// Keeps a word, unless a newer one is known.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn keep_word(&self, word: &Word) -> Result<(), StateError> {
        self.store.write(|entries| keep(entries, word, JournalCopy::Wanted))
    }

    /// Keeps an attestation that was or will be issued, whatever was said since. **Call this before anybody else sees it.** The
    /// journal learns of it when it is said.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn keep_issued(&self, word: &Word) -> Result<(), StateError> {
        let Some(beside) = name_beside(word) else { return Ok(()) };
        let [_, newest] = self.words_with(word.peer)?;
        let is_newest = newest.is_some_and(|newest| newest.said == word.said);
        // Messages are read again and again, and a write takes an fsync.
        if is_newest || self.store.read(Table::Words, &beside, KeptWord::from_bytes)?.is_some() {
            return Ok(());
        }
        self.store.write(|entries| keep_beside(entries, word, JournalCopy::Made))
    }

    /// All words: what each account said last, what was said to it, the oldest first, and every attestation issued to it.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub fn words(&self) -> Result<Vec<KeptWord>, StateError> {
        let mut all = self.store.read_all(Table::Words, KeptWord::from_bytes)?;
        all.sort_by_key(|kept| (kept.word.peer, kept.word.is_theirs(), kept.word.at));
        Ok(all)
    }

    /// What an account said last, and what was said to it.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub fn words_with(&self, peer: Account) -> Result<[Option<Word>; 2], StateError> {
        let word = |is_theirs| self.store.read(Table::Words, &name(peer, is_theirs), KeptWord::from_bytes);
        Ok([word(true)?.map(|kept| kept.word), word(false)?.map(|kept| kept.word)])
    }

    /// Plans the copies in the journal that nobody has planned yet.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn plan_word_copies(&self, plans: &[(Word, Timestamp)]) -> Result<(), StateError> {
        self.store.write(|entries| {
            for (word, due) in plans {
                for name in [Some(name(word.peer, word.is_theirs())), name_beside(word)].into_iter().flatten() {
                    let kept = entries.get(Table::Words, &name, KeptWord::from_bytes)?;
                    if kept == Some(KeptWord { word: *word, copy: JournalCopy::Wanted }) {
                        put(entries, &name, *word, JournalCopy::Due(*due))?;
                    }
                }
            }
            Ok(())
        })
    }
}

/// The newest word counts; of one word, that the journal has it. Attestations that were issued are kept in any case.
pub(super) fn keep(entries: &Entries<'_>, word: &Word, copy: JournalCopy) -> Result<(), StateError> {
    let name = name(word.peer, word.is_theirs());
    let before = entries.get(Table::Words, &name, KeptWord::from_bytes)?;
    if before.is_some_and(|before| before.word.at > word.at) {
        return keep_beside(entries, word, copy);
    }
    let is_known = before
        .is_some_and(|before| before.word == *word && (copy != JournalCopy::Made || before.copy == JournalCopy::Made));
    if is_known {
        return Ok(());
    }
    put(entries, &name, *word, copy)?;
    if let Some(beside) = name_beside(word) {
        entries.remove(Table::Words, &beside)?;
    }
    before.map_or(Ok(()), |KeptWord { word, copy }| keep_beside(entries, &word, copy))
}

/// Keeps an attestation that was issued beside the newest word, unless it is that one's. Other words are not kept.
fn keep_beside(entries: &Entries<'_>, word: &Word, copy: JournalCopy) -> Result<(), StateError> {
    let Some(beside) = name_beside(word) else { return Ok(()) };
    let newest = entries.get(Table::Words, &name(word.peer, false), KeptWord::from_bytes)?;
    if newest.is_some_and(|newest| newest.word.said == word.said) {
        return Ok(());
    }
    let before = entries.get(Table::Words, &beside, KeptWord::from_bytes)?;
    let is_known = before.is_some_and(|before| copy != JournalCopy::Made || before.copy == JournalCopy::Made);
    if is_known { Ok(()) } else { put(entries, &beside, *word, copy) }
}

fn put(entries: &Entries<'_>, name: &[u8], word: Word, copy: JournalCopy) -> Result<(), StateError> {
    entries.put(Table::Words, name, &KeptWord { word, copy }.to_bytes())
}

/// Chain id u64, address 20, 1 for what the other one said.
fn name(peer: Account, is_theirs: bool) -> Vec<u8> {
    [peer.chain_id().to_be_bytes().as_slice(), peer.address().as_slice(), &[u8::from(is_theirs)]].concat()
}

/// Chain id u64, address 20, 2, hash of the attestation 32; none if none was issued.
fn name_beside(word: &Word) -> Option<Vec<u8>> {
    let Word { peer, said: Said::Issued(attestation), .. } = word else { return None };
    let (chain_id, hash) = (peer.chain_id().to_be_bytes(), attestation.hash());
    Some([chain_id.as_slice(), peer.address().as_slice(), &[2], hash.as_slice()].concat())
}

impl KeptWord {
    fn to_bytes(self) -> Vec<u8> {
        [self.copy.to_bytes().as_slice(), &self.word.to_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(bytes);
        let it = Self { copy: JournalCopy::read(&mut reader)?, word: Word::read(&mut reader)? };
        reader.end().map(|()| it)
    }
}

impl Word {
    const fn is_theirs(&self) -> bool {
        matches!(self.said, Said::Held(_))
    }

    /// Chain id u64, address 20, time u64, letter 32, what u8; behind 0, held, and 1, issued, the attestation.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let Self { peer, at, letter, said } = self;
        let (kind, attestation) = match said {
            Said::Held(attestation) => (0, Some(attestation)),
            Said::Issued(attestation) => (1, Some(attestation)),
            Said::Declined => (2, None),
            Said::Revoked => (3, None),
            Said::Blocked => (4, None),
        };
        let mut bytes = [
            peer.chain_id().to_be_bytes().as_slice(),
            peer.address().as_slice(),
            &at.as_nanos().to_be_bytes(),
            letter.as_bytes(),
            &[kind],
        ]
        .concat();
        bytes.extend(attestation.iter().flat_map(Attestation::to_bytes));
        bytes
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Unreadable> {
        let peer = Account::on_chain(reader.u64()?, Address::from(*reader.array()?));
        let at = Timestamp::from_nanos(reader.u64()?);
        let letter = EnvelopeId::from(*reader.array::<32>()?);
        let kind = reader.u8()?;
        let mut attestation = || -> Result<Attestation, Unreadable> {
            Attestation::from_bytes(reader.bytes(attestation::BYTES)?).map_err(|_| Unreadable)
        };
        let said = match kind {
            0 => Said::Held(attestation()?),
            1 => Said::Issued(attestation()?),
            2 => Said::Declined,
            3 => Said::Revoked,
            4 => Said::Blocked,
            _ => return Err(Unreadable),
        };
        Ok(Self { peer, at, letter, said })
    }
}
