//! `xmtp connections`, `accept`, `decline`, `revoke` and `block`.

use std::fmt;

use serde::Serialize;
use xmtp_proto::account::Account;
use xmtp_proto::attestation::Attestation;
use xmtp_sdk::client::Client;
use xmtp_sdk::connection::{Accepted, Blocked, Relation, Revoked, Standing, Terms};

use super::shown;
use crate::failure::Failure;
use crate::output::{Output, Said};

pub(super) async fn list(client: &Client, output: &Output) -> Result<(), Failure> {
    let relations = client.relations().await?.into_iter().map(Line::from).collect();
    output.say(&List { account: client.account().to_string(), relations })
}

pub(super) async fn accept(account: Account, terms: Terms, client: &Client, output: &Output) -> Result<(), Failure> {
    let Accepted { peer, attestation, message } = client.accept(account, terms).await?;
    output.say(&Issued {
        to: peer.to_string(),
        connection: Connection::from(attestation),
        envelope: message.envelope.to_string(),
        opened: message.opened,
    })
}

pub(super) async fn decline(account: Account, client: &Client, output: &Output) -> Result<(), Failure> {
    client.decline(account).await?;
    output.say(&Done {
        account: account.to_string(),
        now: "declined",
        policy_version: None,
        tags: 0,
        revoked: 0,
        left_out: 0,
    })
}

pub(super) async fn revoke(account: Account, client: &Client, output: &Output) -> Result<(), Failure> {
    let Revoked { peer, revoked, policy } = client.revoke(account).await?;
    let policy_version = Some(policy.signed.policy().version);
    output.say(&Done { account: peer.to_string(), now: "revoked", policy_version, tags: 0, revoked, left_out: 0 })
}

pub(super) async fn block(account: Account, client: &Client, output: &Output) -> Result<(), Failure> {
    let Blocked { peer, tags, revoked, left_out, policy } = client.block(account).await?;
    let policy_version = policy.map(|published| published.signed.policy().version);
    output.say(&Done { account: peer.to_string(), now: "blocked", policy_version, tags, revoked, left_out })
}

#[derive(Serialize)]
struct List {
    account: String,
    relations: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    with: String,
    /// What this account has said to the other one: `silent`, `requested`, `accepted`, `declined`, `revoked`, `blocked`.
    theirs: &'static str,
    /// What the other one may write by, if it was accepted.
    issued: Option<Connection>,
    /// What this account may write to it by.
    held: Option<Connection>,
}

#[derive(Serialize)]
struct Connection {
    /// Units of postage per day.
    quota: u32,
    expires_at: String,
    /// What a policy names to revoke it.
    hash: String,
}

#[derive(Serialize)]
struct Issued {
    to: String,
    connection: Connection,
    /// Of the message that brings it.
    envelope: String,
    /// Whether the conversation had to be opened for it.
    opened: bool,
}

#[derive(Serialize)]
struct Done {
    account: String,
    now: &'static str,
    /// Of the policy that says so, if it had to.
    policy_version: Option<u64>,
    tags: usize,
    revoked: usize,
    /// Pseudonyms and attestations that the policy has no room for.
    left_out: usize,
}

impl From<Attestation> for Connection {
    fn from(it: Attestation) -> Self {
        let (quota, expires_at) = (it.quota, shown::seconds(it.expires_at.as_secs()));
        Self { quota, expires_at, hash: it.hash().to_string() }
    }
}

impl From<Relation> for Line {
    fn from(Relation { peer, theirs, ours }: Relation) -> Self {
        let (theirs, issued) = match theirs {
            Standing::Silent => ("silent", None),
            Standing::Requested => ("requested", None),
            Standing::Accepted(attestation) => ("accepted", Some(attestation)),
            Standing::Declined => ("declined", None),
            Standing::Revoked => ("revoked", None),
            Standing::Blocked => ("blocked", None),
        };
        let (issued, held) = (issued.map(Connection::from), ours.map(Connection::from));
        Self { with: peer.to_string(), theirs, issued, held }
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} a day until {}", shown::units(self.quota), self.expires_at)
    }
}

impl Said for List {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        if self.relations.is_empty() {
            return writeln!(f, "No connections.");
        }
        for Line { with, theirs, issued, held } in &self.relations {
            writeln!(f, "{with}")?;
            match (*theirs, issued) {
                (_, Some(issued)) => writeln!(f, "  may write to you  {issued}")?,
                ("requested", _) => writeln!(f, "  has written; not answered: xmtp accept, decline or block")?,
                ("silent", _) => {}
                (other, _) => writeln!(f, "  {other}")?,
            }
            if let Some(held) = held {
                writeln!(f, "  you may write     {held}")?;
            }
        }
        Ok(())
    }
}

impl Said for Issued {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        writeln!(f, "{} may write to you: {}.", self.to, self.connection)
    }
}

impl Said for Done {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let Self { account, now, policy_version, tags, revoked, left_out } = self;
        match (*now, policy_version) {
            ("declined", _) => writeln!(f, "The request of {account} stays without an answer."),
            ("revoked", _) => writeln!(f, "{account} must meet your policy again to write to you."),
            (_, None) => {
                writeln!(
                    f,
                    "Letters of {account} are not shown; it has shown nothing new that a node could know it by."
                )
            }
            (_, Some(version)) => {
                writeln!(f, "{account} is blocked: your policy, version {version}, names it.")?;
                writeln!(
                    f,
                    "  {tags} pseudonyms, {revoked} attestations; its letters are not shown, however they come in"
                )?;
                match left_out {
                    0 => Ok(()),
                    _ => writeln!(f, "  {left_out} more have no room in it: nodes let through who shows one of those"),
                }
            }
        }
    }
}
