//! What a node may see of somebody, where, and why. All else is a leak.

use std::collections::BTreeSet;

use xmtp_proto::account::Account;

use crate::needle::{self, Found, Needle, What};

/// Where a node sees something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A connection on which an account reads and writes its own topics.
    OwnConnection(Account),
    /// A connection on which somebody asks about an account and writes to it.
    ConnectionTowards(Account),
    /// A connection on which no account is named.
    NamelessConnection,
    /// A record on an account's own topic, or an entry that leads to one.
    OwnRecord(Account),
    /// The same on an account's invite topic.
    Letter(Account),
    /// The same in a conversation.
    Conversation,
    /// The same on a claim's topic.
    Snapshot,
    /// The newest records of an account, its writes of a day, the quotas of connections that it vouches for.
    Count(Account),
    /// What the node copies from the chain.
    Chain,
    /// Any other entry of the store.
    Elsewhere,
}

/// Why a node may see something of an account; none if it may not.
pub(crate) fn reason(place: Place, whose: Account, what: What) -> Option<&'static str> {
    use What::{
        Account as Address, AgreementKey, BookCommitment, BookLeaf, BundleSignature, ClaimCommitment, IdentityKey,
        MemberCommitment, Prekey, StakeCommitment, StakeLeaf, WalletSignature,
    };
    match (place, what) {
        (
            Place::OwnConnection(named) | Place::OwnRecord(named),
            Address | IdentityKey | AgreementKey | Prekey | ClaimCommitment | MemberCommitment | WalletSignature
            | BundleSignature,
        ) if named == whose => Some("it publishes its key bundle there, for everybody to read"),
        (Place::ConnectionTowards(named) | Place::Letter(named), Address) if named == whose => {
            Some("an invite topic names the account that is written to")
        }
        (Place::Count(named), Address) if named == whose => Some("what is its own is counted under its name"),
        (Place::Snapshot, ClaimCommitment) => Some("a snapshot lists all of whom the claim holds"),
        (Place::Chain, BookCommitment | BookLeaf | StakeCommitment | StakeLeaf) => {
            Some("the chain shows all purchases and stakes to everybody")
        }
        _ => None,
    }
}

/// What is found there and has no reason to be.
pub(crate) fn leaks(needles: &[Needle], place: Place, haystack: &[u8]) -> BTreeSet<Found> {
    let found = needle::find(needles, haystack).into_iter();
    found.filter(|it| reason(place, it.whose, it.what).is_none()).collect()
}

#[test]
fn nothing_of_another_account_is_permitted_but_what_is_published_of_it() {
    let [alice, bob] = [1, 2].map(|byte| Account::externally_owned([byte; 20].into()));
    let places = [
        Place::OwnConnection(bob),
        Place::ConnectionTowards(bob),
        Place::NamelessConnection,
        Place::OwnRecord(bob),
        Place::Letter(bob),
        Place::Conversation,
        Place::Snapshot,
        Place::Count(bob),
        Place::Chain,
        Place::Elsewhere,
    ];
    for place in places {
        for what in [What::Account, What::IdentityKey, What::MemberCommitment, What::MemberLeaf, What::Transaction] {
            assert_eq!(reason(place, alice, what), None, "{what:?}, {place:?}");
        }
        for what in [What::MemberLeaf, What::Transaction] {
            assert_eq!(reason(place, bob, what), None, "{what:?}, {place:?}");
        }
    }
}
