//! The log itself: records, and the topics that they stand on, many under one key. sled takes as long for a small entry as for one
//! of some KiB, so what is committed together is kept together (docs/decisions/0025-what-a-submission-costs.md).
//!
//! A sheet has records whose cursors follow on each other, under the first of them; a contents page has their topics in the same
//! way. Both are written with their group, and again only when something on them is dropped: that leaves an empty place, and the
//! last one takes the entry with it.

use std::collections::{BTreeMap, BTreeSet};

use sled::{Batch, IVec, Tree};
use xmtp_proto::postmark::Cursor;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;

use super::super::{StoreError, keys, values};
use super::disk;

/// What is kept so.
struct Kind {
    key: fn(Cursor) -> Vec<u8>,
    /// Under one key at most.
    places: usize,
    /// More are under one key only if the first alone is longer.
    bytes: usize,
    what: &'static str,
}

/// A leaf of sled's tree has up to 17 entries, and is a file of its own if they come to more than 128 KiB.
const SHEETS: Kind = Kind { key: keys::sheet, places: 16, bytes: 6 << 10, what: "sheet" };
const CONTENTS: Kind = Kind { key: keys::contents, places: 64, bytes: 6 << 10, what: "contents page" };

/// A record that is about to be written.
pub(super) struct Fresh {
    pub(super) topic: Topic,
    pub(super) record: Vec<u8>,
}

/// Writes the records of a group, from a cursor on.
pub(super) fn write(batch: &mut Batch, first: Cursor, records: &[Fresh]) {
    SHEETS.write(batch, first, records.iter().map(|it| it.record.as_slice()));
    let topics: Vec<_> = records.iter().map(|it| values::topic_to_bytes(&it.topic)).collect();
    CONTENTS.write(batch, first, topics.iter().map(Vec::as_slice));
}

/// What stands at a cursor; nothing if it was dropped, or never was.
pub(super) fn record(log: &Tree, cursor: Cursor) -> Result<Option<wire::Record>, StoreError> {
    SHEETS.at(log, cursor, values::record)
}

/// What is left of a record that was dropped.
pub(super) fn husk(log: &Tree, cursor: Cursor) -> Result<Option<wire::Record>, StoreError> {
    let husk = log.get(keys::husk(cursor)).map_err(disk)?;
    husk.map(|bytes| values::record(&bytes)).transpose()
}

/// A record, or what is left of it: in this order, for what is dropped between the two leaves its husk in the same write.
pub(super) fn kept(log: &Tree, cursor: Cursor) -> Result<Option<wire::Record>, StoreError> {
    record(log, cursor)?.map_or_else(|| husk(log, cursor), |record| Ok(Some(record)))
}

/// Whether the contents lead to a cursor.
pub(super) fn is_listed(log: &Tree, cursor: Cursor) -> Result<bool, StoreError> {
    Ok(CONTENTS.at(log, cursor, values::topic_from_bytes)?.is_some())
}

/// The newest record that was not dropped.
pub(super) fn newest(log: &Tree) -> Result<Option<wire::Record>, StoreError> {
    let Some(entry) = log.scan_prefix(keys::sheets()).next_back() else { return Ok(None) };
    let (_, sheet) = entry.map_err(disk)?;
    let mut newest = None;
    for place in values::places(&sheet) {
        newest = place?.or(newest);
    }
    newest.map(values::record).transpose()
}

/// The newest husk.
pub(super) fn newest_husk(log: &Tree) -> Result<Option<wire::Record>, StoreError> {
    let Some(entry) = log.scan_prefix(keys::husks()).next_back() else { return Ok(None) };
    values::record(&entry.map_err(disk)?.1).map(Some)
}

/// The topics of the places behind a cursor and up to another, oldest first; none where a record was dropped.
pub(super) fn topics(
    log: &Tree,
    after: Cursor,
    last: Cursor,
) -> Result<impl Iterator<Item = Result<(Cursor, Option<Topic>), StoreError>>, StoreError> {
    // The first place may be in the middle of a page.
    let next = after.next();
    let first = CONTENTS.below(log, next)?.map_or(next, |(first, _)| first);
    let pages = log.range(keys::contents(first)..=keys::contents(last.max(first)));
    let topics = pages.flat_map(|page| match page.map_err(disk) {
        Ok((key, page)) => topics_on(&key, &page),
        Err(error) => vec![Err(error)],
    });
    Ok(topics.filter(move |it| it.as_ref().map_or(true, |(cursor, _)| *cursor > after && *cursor <= last)))
}

fn topics_on(key: &[u8], page: &[u8]) -> Vec<Result<(Cursor, Option<Topic>), StoreError>> {
    let Some(first) = keys::cursor_of(key) else { return vec![Err(CONTENTS.damaged())] };
    let topic = |place: Result<Option<&[u8]>, _>| place?.map(values::topic_from_bytes).transpose();
    let cursors = (first.0..).map(Cursor);
    cursors.zip(values::places(page)).map(|(cursor, place)| Ok((cursor, topic(place)?))).collect()
}

/// Empties the places of some records, which have to be durable: sheets that still grow are the committer's. One thread at a
/// time, for what it writes is what it has read.
pub(super) fn empty(log: &Tree, batch: &mut Batch, cursors: &BTreeSet<Cursor>) -> Result<(), StoreError> {
    SHEETS.empty(log, batch, cursors)?;
    CONTENTS.empty(log, batch, cursors)
}

impl Kind {
    const fn damaged(&self) -> StoreError {
        StoreError::Damaged { what: self.what }
    }

    fn write<'a>(&self, batch: &mut Batch, first: Cursor, places: impl Iterator<Item = &'a [u8]>) {
        let (mut list, mut listed, mut begin, mut next) = (Vec::new(), 0, first, first);
        for place in places {
            if listed == self.places || (listed > 0 && list.len() + place.len() > self.bytes) {
                batch.insert((self.key)(begin), std::mem::take(&mut list));
                (listed, begin) = (0, next);
            }
            values::push_place(&mut list, place);
            (listed, next) = (listed + 1, next.next());
        }
        if listed > 0 {
            batch.insert((self.key)(begin), list);
        }
    }

    /// The list that a cursor's place is on, if it is on any, and its first cursor.
    fn below(&self, log: &Tree, cursor: Cursor) -> Result<Option<(Cursor, IVec)>, StoreError> {
        let Some(entry) = log.range((self.key)(Cursor::default())..=(self.key)(cursor)).next_back() else {
            return Ok(None);
        };
        let (key, list) = entry.map_err(disk)?;
        Ok(Some((keys::cursor_of(&key).ok_or_else(|| self.damaged())?, list)))
    }

    fn at<T>(
        &self,
        log: &Tree,
        cursor: Cursor,
        read: impl FnOnce(&[u8]) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let Some((first, list)) = self.below(log, cursor)? else { return Ok(None) };
        // No list has so many places as a `usize` cannot count.
        let number = usize::try_from(cursor.0 - first.0).unwrap_or(usize::MAX);
        values::places(&list).nth(number).transpose()?.flatten().map(read).transpose()
    }

    fn empty(&self, log: &Tree, batch: &mut Batch, cursors: &BTreeSet<Cursor>) -> Result<(), StoreError> {
        let mut lists: BTreeMap<Cursor, IVec> = BTreeMap::new();
        for cursor in cursors {
            if lists.last_key_value().is_none_or(|(first, list)| !self.has(*first, list, *cursor)) {
                lists.extend(self.below(log, *cursor)?);
            }
        }
        for (first, list) in lists {
            let (mut emptied, mut is_empty) = (Vec::with_capacity(list.len()), true);
            for (cursor, place) in (first.0..).map(Cursor).zip(values::places(&list)) {
                let place = place?.filter(|_| !cursors.contains(&cursor));
                is_empty &= place.is_none();
                values::push_place(&mut emptied, place.unwrap_or_default());
            }
            if is_empty {
                batch.remove((self.key)(first));
            } else {
                batch.insert((self.key)(first), emptied);
            }
        }
        Ok(())
    }

    fn has(&self, first: Cursor, list: &[u8], cursor: Cursor) -> bool {
        let places = values::places(list).take(self.places).count();
        (first.0..first.0.saturating_add(places as u64)).contains(&cursor.0)
    }
}
