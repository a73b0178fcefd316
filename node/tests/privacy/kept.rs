//! What a node keeps, entry by entry.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

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

/// Every entry of every tree.
pub(crate) fn entries(data: &Path) -> Vec<Kept> {
    let db = sled::Config::new().path(data).open().unwrap();
    let mut all = Vec::new();
    for tree in db.tree_names() {
        for entry in db.open_tree(&tree).unwrap().iter() {
            let (key, value) = entry.unwrap();
            let tree = String::from_utf8_lossy(&tree).into_owned();
            let bytes = [&key[..], &value].concat();
            all.push(Kept { place: place(&tree, &key, &bytes), name: format!("{key:02x?} of {tree}"), bytes });
        }
    }
    assert!(all.len() > 20, "the store is empty");
    all
}

fn place(tree: &str, key: &[u8], bytes: &[u8]) -> Place {
    match (tree, key.first()) {
        ("chain", _) => Place::Chain,
        ("log", Some(b'o')) => Place::Count(account(&key[1..])),
        // Behind the day.
        ("log", Some(b'q' | b'k')) => Place::Count(account(&key[9..])),
        _ => {
            let topics: Vec<Topic> = topics(bytes).into_iter().collect();
            match topics[..] {
                [Topic::Contact(of) | Topic::Policy(of) | Topic::Vault(of) | Topic::Receipts(of)] => {
                    Place::OwnRecord(of)
                }
                [Topic::Invite(of)] => Place::Letter(of),
                [Topic::Conversation(_)] => Place::Conversation,
                [Topic::Claim(_)] => Place::Snapshot,
                _ => Place::Elsewhere,
            }
        }
    }
}

/// Chain id and address.
fn account(key: &[u8]) -> Account {
    let number: u64 = u64::from_be_bytes(*key.first_chunk().unwrap());
    let address = alloy::hex::encode(&key[8..28]);
    format!("eip155:{number}:0x{address}").parse().unwrap()
}

/// The topics that are named; they are written as text.
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
