//! `xmtp claims`: what the network offers, what holds of the account today; declaring it, and registering where there are no
//! issuers.

use std::fmt;

use serde::Serialize;
use xmtp_proto::time::Generation;
use xmtp_sdk::claims::SMALL_CLAIM;
use xmtp_sdk::client::{ClaimStatus, Client, DeclaredClaim, RegisteredToken};

use crate::args;
use crate::failure::Failure;
use crate::output::{Output, Said};

const SEEN_BY_ALL: &str =
    "everybody can read on the chain that this account registers for this claim; which letters it pays for nobody can";

pub(super) async fn run(command: Option<args::Claims>, client: &Client, output: &Output) -> Result<(), Failure> {
    match command {
        None => output.say(&Claims { claims: client.claims().await?.into_iter().map(Entry::from).collect() }),
        Some(args::Claims::Declare { claim }) => output.say(&Declared::from(client.declare_claim(&claim).await?)),
        Some(args::Claims::Register { claim, token }) => {
            output.note(&SEEN_BY_ALL);
            output.say(&Registered(client.register_claim(&claim, token).await?.into()))
        }
        Some(args::Claims::Prune { claim, token, generation }) => {
            output.say(&Pruned(client.prune_claim(&claim, token, generation.map(Generation)).await?.into()))
        }
    }
}

#[derive(Serialize)]
struct Declared {
    /// What policies call the claim.
    claim: String,
    /// Null if it was declared before.
    transaction: Option<String>,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Registered(Token);

#[derive(Serialize)]
#[serde(transparent)]
struct Pruned(Token);

#[derive(Serialize)]
struct Token {
    /// What policies call the claim.
    claim: String,
    /// Decimal.
    token: String,
    /// For which quarter.
    generation: u32,
    /// Null if a transaction of before was found to have gone through.
    transaction: Option<String>,
}

#[derive(Serialize)]
struct Claims {
    claims: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    name: String,
    /// What policies call it.
    id: String,
    /// Whether holders register on the chain: `xmtp claims register`. Else its issuers look for themselves.
    registered: bool,
    /// Null if there is no snapshot today, and nobody whose registration counts.
    holders: Option<u32>,
    /// Whether the account can show it today.
    held: bool,
    /// Whether it is shown without `--small-claims`.
    hides: bool,
    /// Envelopes a day.
    limit: u32,
}

impl From<ClaimStatus> for Entry {
    fn from(it: ClaimStatus) -> Self {
        let ClaimStatus { claim, id, holders, held } = it;
        let hides = holders.is_some_and(|holders| holders >= SMALL_CLAIM);
        let registered = claim.issuers.is_empty();
        Self { name: claim.name, id: id.to_string(), registered, holders, held, hides, limit: claim.limit }
    }
}

impl From<DeclaredClaim> for Declared {
    fn from(DeclaredClaim { claim, transaction }: DeclaredClaim) -> Self {
        Self { claim: claim.to_string(), transaction: transaction.map(|hash| hash.to_string()) }
    }
}

impl From<RegisteredToken> for Token {
    fn from(RegisteredToken { claim, generation, token, transaction }: RegisteredToken) -> Self {
        Self {
            claim: claim.to_string(),
            token: token.to_string(),
            generation: generation.0,
            transaction: transaction.map(|hash| hash.to_string()),
        }
    }
}

impl Said for Declared {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let Self { claim, transaction } = self;
        writeln!(f, "The chain knows claim({claim}).")?;
        match transaction {
            Some(hash) => writeln!(f, "  transaction  {hash}"),
            None => writeln!(f, "  it did before; nothing was sent"),
        }
    }
}

impl Said for Registered {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let Token { claim, token, transaction, .. } = &self.0;
        writeln!(f, "Token {token} is registered for claim({claim}).")?;
        match transaction {
            Some(hash) => writeln!(f, "  transaction  {hash}")?,
            None => writeln!(f, "  it was before; nothing was sent")?,
        }
        writeln!(
            f,
            "  it counts from midnight UTC on, or the next one if that is less than an hour away; a quarter's first at once"
        )
    }
}

impl Said for Pruned {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let Token { claim, token, transaction, .. } = &self.0;
        writeln!(f, "The entry of token {token} has left claim({claim}); it counts to the end of the day.")?;
        transaction.iter().try_for_each(|hash| writeln!(f, "  transaction  {hash}"))
    }
}

impl Said for Claims {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        if self.claims.is_empty() {
            return writeln!(f, "The network offers no claims.");
        }
        for Entry { name, id, registered, holders, held, hides, limit: _ } in &self.claims {
            let nobody = if *registered { "nobody registered" } else { "no snapshot today" };
            let of = holders.map_or_else(|| nobody.to_owned(), |it| format!("{it} accounts"));
            let yours = match (held, hides) {
                (false, _) => "not yours",
                (true, true) => "yours",
                (true, false) => "yours, and shown with --small-claims only, for so few hide nobody",
            };
            writeln!(f, "{name:<20} claim({id})  {of}  {yours}")?;
        }
        Ok(())
    }
}
