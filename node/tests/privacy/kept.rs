//! What a node keeps, entry by entry.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use alloy::primitives::B256;
use xmtp_proto::account::Account;
use xmtp_proto::topic::Topic;

use crate::permitted::Place;

/// One entry of the store.
pub(crate) struct Kept {
    pub(crate) place: Place,
    /// Where, for who reads of a leak.
    pub(crate) name: String,
    /// Key and value.
    pub(crate) bytes: Vec<u8>,
}

/// Every entry of every tree; of what is many under one key, each.
pub(crate) fn entries(data: &Path) -> Vec<Kept> {
    let db = sled::Config::new().path(data).open().unwrap();
    let mut all = Vec::new();
    for tree in db.tree_names() {
        for entry in db.open_tree(&tree).unwrap().iter() {
            let (key, value) = entry.unwrap();
            let tree = String::from_utf8_lossy(&tree).into_owned();
            let parts = match (tree.as_str(), key.first()) {
                ("log", Some(b'r' | b'c')) => places(&value),
                _ => vec![value.to_vec()],
            };
            for part in parts {
                let bytes = [&key[..], &part].concat();
                all.push(Kept { place: place(&tree, &key, &part), name: format!("{key:02x?} of {tree}"), bytes });
            }
        }
    }
    assert!(all.len() > 20, "the store is empty");
    all
}

/// What stands on a sheet or on a page of contents, each behind its length; what was dropped left an empty place.
fn places(mut list: &[u8]) -> Vec<Vec<u8>> {
    let mut places = Vec::new();
    while let Some((length, rest)) = list.split_first_chunk() {
        let (place, behind) = rest.split_at(u32::from_be_bytes(*length) as usize);
        places.push(place.to_vec());
        list = behind;
    }
    assert!(list.is_empty());
    places.retain(|place| !place.is_empty());
    places
}

fn place(tree: &str, key: &[u8], value: &[u8]) -> Place {
    let topics: Vec<Topic> = match (tree, key.first()) {
        ("chain", _) => return Place::Chain,
        ("log", Some(b'o')) => return Place::Count(account(&key[1..])),
        // Behind the day.
        ("log", Some(b'q' | b'k')) => return Place::Count(account(&key[9..])),
        ("log", Some(b'c')) => vec![topic(value)],
        // Before the cursor.
        ("log", Some(b't')) => vec![topic(&key[1..key.len() - 8])],
        _ => topics([key, value].concat().as_slice()).into_iter().collect(),
    };
    match topics[..] {
        [Topic::Contact(of) | Topic::Policy(of) | Topic::Vault(of) | Topic::Receipts(of)] => Place::OwnRecord(of),
        [Topic::Invite(of)] => Place::Letter(of),
        [Topic::Conversation(_)] => Place::Conversation,
        [Topic::Claim(_)] => Place::Snapshot,
        _ => Place::Elsewhere,
    }
}

/// A kind, and an account or an id.
fn topic(bytes: &[u8]) -> Topic {
    let (kind, name) = bytes.split_first().unwrap();
    match kind {
        b'c' => Topic::Contact(account(name)),
        b'p' => Topic::Policy(account(name)),
        b'v' => Topic::Vault(account(name)),
        b'i' => Topic::Invite(account(name)),
        b'r' => Topic::Receipts(account(name)),
        b'd' => Topic::Conversation(B256::from_slice(name)),
        b's' => Topic::Claim(B256::from_slice(name)),
        _ => panic!("no kind of topic: {kind}"),
    }
}

/// Chain id and address.
fn account(key: &[u8]) -> Account {
    let number: u64 = u64::from_be_bytes(*key.first_chunk().unwrap());
    let address = alloy::hex::encode(&key[8..28]);
    format!("eip155:{number}:0x{address}").parse().unwrap()
}

/// The topics that are named in a record, where they are written as text.
fn topics(bytes: &[u8]) -> BTreeSet<Topic> {
    let text = String::from_utf8_lossy(bytes);
    let names = text.match_indices("/xmtp/1/").filter_map(|(start, _)| {
        let end = start + text[start..].find("/proto")? + "/proto".len();
        text[start..end].parse().ok()
    });
    names.collect()
}

/// Every file below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
