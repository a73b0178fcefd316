//! `xmtp stamps`.

use std::fmt;

use serde::Serialize;
use xmtp_sdk::client::{BookStatus, BoughtBook, Client, Keeper};
use xmtp_sdk::state::{Book, Bought, Purchase};

use super::shown::{self, Money};
use crate::args::Stamps;
use crate::failure::Failure;
use crate::output::{Output, Said};

pub(super) async fn run(command: Stamps, client: &Client, output: &Output) -> Result<(), Failure> {
    match command {
        Stamps::Buy { denomination, count } => output.say(&Bill::from(client.buy_stamps(denomination, count).await?)),
        Stamps::List => output.say(&Books::from(client.books().await?)),
        Stamps::TakeOver { book } => output.say(&Books::from(vec![client.take_over(book).await?])),
    }
}

#[derive(Serialize)]
struct Bill {
    book: u32,
    denomination: u32,
    count: u32,
    issue: u32,
    volume: u32,
    position: u32,
    commitment: String,
    value: Money,
    bond: Money,
    total: Money,
    /// Null if a transaction of before was found to have gone through.
    transaction: Option<String>,
    #[serde(skip)]
    price: String,
}

#[derive(Serialize)]
struct Books {
    books: Vec<Entry>,
    /// What the unused stamps are worth that can be used here.
    units: u64,
}

#[derive(Serialize)]
struct Entry {
    /// Names it among all books of the account.
    id: String,
    /// Counts an installation's books.
    book: u32,
    /// Who uses it: `here`, `taken_over` or `elsewhere`.
    keeper: &'static str,
    denomination: u32,
    count: u32,
    left: u32,
    /// `bought`, `pending` or `failed`.
    status: &'static str,
    issue: Option<u32>,
    valid_until: Option<String>,
    commitment: String,
}

impl From<BoughtBook> for Bill {
    fn from(it: BoughtBook) -> Self {
        let BoughtBook { book, bought: Bought { issue, position }, quote, transaction } = it;
        Self {
            book: book.id.counter,
            denomination: book.denomination.units(),
            count: book.count.get(),
            issue: issue.0,
            volume: position.volume,
            position: position.index,
            commitment: book.commitment.to_string(),
            value: quote.value.into(),
            bond: quote.bond.into(),
            total: quote.total().into(),
            transaction: transaction.map(|hash| hash.to_string()),
            price: format!("{} ({} face value, {} bond)", quote.total(), quote.value, quote.bond),
        }
    }
}

impl From<Vec<BookStatus>> for Books {
    fn from(books: Vec<BookStatus>) -> Self {
        let books: Vec<Entry> = books.into_iter().map(Entry::from).collect();
        let good = books.iter().filter(|book| book.status == "bought" && book.keeper != "elsewhere");
        let units = good.map(|book| u64::from(book.denomination) * u64::from(book.left)).sum();
        Self { books, units }
    }
}

impl From<BookStatus> for Entry {
    fn from(BookStatus { book, left, keeper, valid_until }: BookStatus) -> Self {
        let Book { id, denomination, count, commitment, purchase, taken_over: _, taken: _ } = book;
        Self {
            id: id.to_string(),
            book: id.counter,
            keeper: match keeper {
                Keeper::Here => "here",
                Keeper::TakenOver => "taken_over",
                Keeper::Elsewhere => "elsewhere",
            },
            denomination: denomination.units(),
            count: count.get(),
            left,
            status: match purchase {
                Purchase::Bought(_) => "bought",
                Purchase::Intended | Purchase::Submitted { .. } => "pending",
                Purchase::Failed => "failed",
            },
            issue: book.bought().map(|bought| bought.issue.0),
            valid_until: valid_until.map(shown::seconds),
            commitment: commitment.to_string(),
        }
    }
}

impl Said for Bill {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let Self { book, denomination, count, issue, price, transaction, .. } = self;
        writeln!(f, "Book {book}: {count} stamps of denomination {denomination}, issue {issue}, for {price}.")?;
        match transaction {
            Some(hash) => writeln!(f, "  transaction  {hash}"),
            None => writeln!(f, "  an earlier transaction had gone through; nothing more was paid"),
        }
    }
}

impl Said for Books {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        if self.books.is_empty() {
            return writeln!(f, "No books. Buy one: xmtp stamps buy --denomination 1 --count 10");
        }
        for Entry { id, book, keeper, denomination, count, left, status, valid_until, .. } in &self.books {
            match *keeper {
                "here" => write!(f, "Book {book}")?,
                "taken_over" => write!(f, "Book {id}, taken over")?,
                _ => write!(f, "Book {id}, of another installation")?,
            }
            write!(f, ": {left} of {count} stamps left, denomination {denomination}, {status}")?;
            match valid_until {
                Some(until) => writeln!(f, ", good until {until}")?,
                None => writeln!(f)?,
            }
        }
        if self.books.iter().any(|book| book.keeper == "elsewhere") {
            writeln!(f, "If another installation is gone, its books can be used here: xmtp stamps take-over <book>")?;
        }
        writeln!(f, "Unused stamps are worth {} units.", self.units)
    }
}
