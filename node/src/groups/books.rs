//! The books of a group, by position and by commitment. There may be millions: a book takes some fifty bytes here.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use xmtp_proto::field::Commitment;
use xmtp_prover::tree::VOLUME_LEAVES;
use xmtp_prover::{Limit, Position};

use super::Book;

/// Every position that was taken, and which of them a commitment leads to.
#[derive(Default)]
pub(super) struct Books {
    /// By number, counted through all volumes. Nothing where a position stays empty.
    places: Vec<Option<Place>>,
    /// The number of the place to which its commitment leads.
    by_commitment: HashTable<u32>,
    /// Keyed at random: commitments are chosen by who buys.
    hasher: RandomState,
}

#[derive(Clone, Copy)]
struct Place {
    commitment: Commitment,
    limit: Limit,
}

impl Books {
    /// Positions taken, empty ones included.
    pub(super) const fn len(&self) -> usize {
        self.places.len()
    }

    /// Takes the next position for a book whose commitment leads nowhere yet, or leaves it empty.
    pub(super) fn push(&mut self, book: Option<(Commitment, Limit)>) {
        if self.places.len() == self.places.capacity() {
            // By an eighth, not to its double.
            self.places.reserve_exact((self.places.len() / 8).max(1));
        }
        self.places.push(book.map(|(commitment, limit)| Place { commitment, limit }));
        self.find_again(self.places.len() - 1);
    }

    /// The book to which a commitment leads.
    pub(super) fn get(&self, commitment: &Commitment) -> Option<Book> {
        let number = *self.by_commitment.find(self.hash(commitment), |number| self.is_at(*number, commitment))?;
        let place = self.places.get(number as usize).copied().flatten()?;
        let position = Position { volume: number / VOLUME_LEAVES, index: number % VOLUME_LEAVES };
        Some(Book { position, limit: place.limit })
    }

    /// Lets a commitment lead nowhere. Its place stays taken; the number of it is for [`Books::find_again`].
    pub(super) fn lose(&mut self, commitment: &Commitment) -> Option<usize> {
        let (hash, places) = (self.hash(commitment), &self.places);
        let entry = self.by_commitment.find_entry(hash, |number| is_at(places, *number, commitment)).ok()?;
        Some(entry.remove().0 as usize)
    }

    /// Lets the commitment of a place lead there.
    pub(super) fn find_again(&mut self, number: usize) {
        let Some(Some(place)) = self.places.get(number) else { return };
        // More positions than that fit in no machine's memory.
        let Ok(number) = u32::try_from(number) else { return };
        let (hash, places, hasher) = (self.hash(&place.commitment), &self.places, &self.hasher);
        let hash_of = |number: &u32| places[*number as usize].map_or(0, |place| hasher.hash_one(place.commitment));
        self.by_commitment.insert_unique(hash, number, hash_of);
    }

    /// Gives back the positions from a number on.
    pub(super) fn truncate(&mut self, len: usize) {
        for number in len..self.places.len() {
            let Some(place) = self.places[number] else { continue };
            let hash = self.hash(&place.commitment);
            if let Ok(entry) = self.by_commitment.find_entry(hash, |it| *it as usize == number) {
                entry.remove();
            }
        }
        self.places.truncate(len);
    }

    fn is_at(&self, number: u32, commitment: &Commitment) -> bool {
        is_at(&self.places, number, commitment)
    }

    fn hash(&self, commitment: &Commitment) -> u64 {
        self.hasher.hash_one(commitment)
    }
}

fn is_at(places: &[Option<Place>], number: u32, commitment: &Commitment) -> bool {
    places.get(number as usize).is_some_and(|place| place.is_some_and(|place| place.commitment == *commitment))
}

#[cfg(test)]
mod tests {
    use super::*;
    use xmtp_proto::field::FieldElement;

    fn commitment(number: u64) -> Commitment {
        FieldElement::from(number).into()
    }

    fn book(number: u64) -> Option<(Commitment, Limit)> {
        Some((commitment(number), Limit::new(10).unwrap()))
    }

    fn check(books: &Books, number: u64, expected: Option<u32>) {
        assert_eq!(books.get(&commitment(number)).map(|book| book.position.index), expected, "{number}");
    }

    #[test]
    fn commitment_leads_to_its_latest_place_until_it_is_lost() {
        let mut books = Books::default();
        books.push(book(5));
        books.push(None);
        books.push(book(6));
        assert_eq!(books.len(), 3);
        check(&books, 5, Some(0));
        check(&books, 6, Some(2));
        check(&books, 7, None);

        let first = books.lose(&commitment(5)).unwrap();
        assert_eq!(books.lose(&commitment(5)), None);
        check(&books, 5, None);
        books.push(book(5));
        check(&books, 5, Some(3));

        // And back again.
        books.truncate(3);
        check(&books, 5, None);
        books.find_again(first);
        check(&books, 5, Some(0));
        books.truncate(0);
        check(&books, 5, None);
        check(&books, 6, None);
    }

    #[test]
    fn ten_thousand_books_are_all_found_and_take_some_fifty_bytes_each() {
        let mut books = Books::default();
        (0..10_000).for_each(|number| books.push(book(number)));
        for number in 0..10_000 {
            check(&books, number, Some(number as u32));
        }
        let table = books.by_commitment.allocation_size();
        let bytes = books.places.capacity() * size_of::<Option<Place>>() + table;
        assert!(bytes / 10_000 <= 56, "{bytes}");
    }
}
