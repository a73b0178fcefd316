//! What is on the disk after a crash: a copy is opened and compared with what was promised, so that the node itself recovers
//! from what the crash left and not from what a reader made of it.

use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

use alloy::signers::local::PrivateKeySigner;
use xmtp_node::operator::Operator;
use xmtp_node::store::{Audit, Fault, Held, Store};
use xmtp_proto::derive::{EnvelopeId, Issue};
use xmtp_proto::time::{Clock, Epoch};

use crate::ledger::Ledger;
use crate::machine::Machine;
use crate::support::World;

/// No campaign lasts so long that anything counted is over.
const EVERYTHING: Held = Held { issue: Issue(0), epoch: Epoch(0) };

#[derive(Default)]
pub(crate) struct Found {
    pub(crate) records: u64,
    pub(crate) dropped: u64,
    pub(crate) stamps: u64,
    pub(crate) memberships: u64,
    pub(crate) receipts: u64,
    pub(crate) unanswered_stored: u64,
}

/// Enters every broken promise into the ledger.
pub(crate) fn disk(machine: &Machine, world: &World, ledger: &mut Ledger) -> Found {
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&machine.data(), copy.path());
    let key = PrivateKeySigner::from_slice(&[5; 32]).unwrap();
    let store = match Store::open(copy.path(), Operator::new(key, world.network), Clock::system(), NonZeroU32::MAX) {
        Ok(store) => store,
        Err(error) => return all_is_lost(ledger, &error.to_string()),
    };
    let Audit { records, dropped, stamps, memberships, receipts, faults, .. } = match store.audit(EVERYTHING) {
        Ok(audit) => audit,
        Err(error) => return all_is_lost(ledger, &error.to_string()),
    };
    for fault in faults {
        match fault {
            Fault::Gap { .. } => ledger.faults.cursor_reuse += 1,
            Fault::Doubled { .. } => ledger.faults.doubled += 1,
            Fault::Misplaced { .. }
            | Fault::Unlisted { .. }
            | Fault::HalfDropped { .. }
            | Fault::NotCancelled { .. }
            | Fault::NotStored { .. }
            | Fault::Uncounted { .. }
            | Fault::Misread { .. }
            | Fault::Miscounted { .. } => ledger.faults.torn += 1,
        }
        ledger.faults.example(fault);
    }

    let promised: Vec<_> = ledger.promised.iter().map(|(id, signed)| (*id, *signed)).collect();
    for (id, signed) in promised {
        match store.postmark(&id) {
            Ok(Some(found)) if found == signed => {}
            Ok(Some(found)) => ledger.acknowledge(id, found),
            Ok(None) => ledger.lose(id, "it is not on the disk"),
            Err(error) => ledger.lose(id, error),
        }
    }
    let open: Vec<EnvelopeId> = ledger.open.keys().copied().collect();
    let stored: Vec<_> = open.into_iter().filter_map(|id| Some((id, store.postmark(&id).ok()??))).collect();
    // A record that nobody was told of has its cursor for ever, too: peers may have read it.
    for (id, signed) in &stored {
        ledger.give(signed.postmark.cursor, *id);
    }
    Found { records, dropped, stamps, memberships, receipts, unanswered_stored: stored.len().try_into().unwrap() }
}

fn all_is_lost(ledger: &mut Ledger, why: &str) -> Found {
    let promised: Vec<_> = ledger.promised.keys().copied().collect();
    for id in promised {
        ledger.lose(id, why);
    }
    Found::default()
}

fn copy_folder(from: &Path, to: &Path) {
    // Not there: the disk forgot the folder itself.
    let Ok(entries) = fs::read_dir(from) else { return };
    for entry in entries {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}
