//! `xmtp identity`.

use std::fmt;

use serde::Serialize;
use xmtp_proto::requirement::Shown;
use xmtp_sdk::client::{Client, IdentityStatus, Joined, Published, ReplacedIdentity};
use xmtp_sdk::identity::VerifiedBundle;

use super::policy::Conditions;
use super::shown;
use crate::args::Identity;
use crate::failure::Failure;
use crate::output::{Output, Said};

pub(super) async fn run(command: Identity, client: &Client, output: &Output) -> Result<(), Failure> {
    match command {
        Identity::New { replace: true, max_price: _ } => {
            let ReplacedIdentity { published, policy } = client.replace_identity().await?;
            let policy = policy.map(|it| Conditions::new(client, it.signed.policy()));
            output.say(&Made { policy, ..Made::new(client, "replaced", published) })
        }
        Identity::New { replace: false, max_price } => {
            let Joined { published, passes } = client.create_identity_within(max_price).await?;
            output.say(&Made { joined_with: Some(Price::of(passes)), ..Made::new(client, "created", published) })
        }
        Identity::Restore => output.say(&Made::new(client, "restored", client.restore_identity().await?)),
        Identity::Show => output.say(&Status::new(client, &client.identity_status().await?)),
    }
}

#[derive(Serialize)]
struct Made {
    account: String,
    network: String,
    /// `created`, `replaced` or `restored`.
    status: &'static str,
    published: Bundle,
    /// What was taken over from the keys that were replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<Conditions>,
    home: String,
    /// What the network asked for of who joins; it may be nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    joined_with: Option<Price>,
}

/// What went with the first key bundle.
#[derive(Serialize)]
struct Price {
    /// What was shown.
    passes: Vec<String>,
    stamps_cancelled: usize,
    units_paid: u32,
}

#[derive(Serialize)]
struct Status {
    account: String,
    network: String,
    installation: String,
    here: Option<Bundle>,
    published: Option<Bundle>,
    home: String,
}

#[derive(Serialize)]
struct Bundle {
    revision: u32,
    version: u32,
    identity_key: String,
    agreement_key: String,
    prekey: String,
    /// Where it stands in the operator's log.
    cursor: Option<u64>,
}

impl Made {
    fn new(client: &Client, status: &'static str, Published { bundle, cursor }: Published) -> Self {
        Self {
            account: client.account().to_string(),
            network: client.network().to_string(),
            status,
            published: Bundle::new(&bundle, Some(cursor.0)),
            policy: None,
            home: client.state().folder().display().to_string(),
            joined_with: None,
        }
    }
}

impl Price {
    fn of(passes: Vec<Shown>) -> Self {
        let stamps = passes.iter().filter_map(|it| match it {
            Shown::Stamp { denomination, .. } => Some(denomination.units()),
            _ => None,
        });
        let stamps: Vec<u32> = stamps.collect();
        Self { passes: shown::passes(passes), stamps_cancelled: stamps.len(), units_paid: stamps.iter().sum() }
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stamps_cancelled {
            0 => write!(f, "nothing was paid: {} was shown", self.passes.join(", ")),
            1 => write!(f, "paid with 1 stamp, {}", shown::units(self.units_paid)),
            count => write!(f, "paid with {count} stamps, {}", shown::units(self.units_paid)),
        }
    }
}

impl Status {
    fn new(client: &Client, status: &IdentityStatus) -> Self {
        let IdentityStatus { here, published } = status;
        Self {
            account: client.account().to_string(),
            network: client.network().to_string(),
            installation: client.state().installation().to_string(),
            here: here.map(|bundle| Bundle::new(&bundle, None)),
            published: published.map(|it| Bundle::new(&it.bundle, Some(it.cursor.0))),
            home: client.state().folder().display().to_string(),
        }
    }
}

impl Bundle {
    fn new(bundle: &VerifiedBundle, cursor: Option<u64>) -> Self {
        let bundle = bundle.bundle();
        Self {
            revision: bundle.keys.revision,
            version: bundle.version,
            identity_key: shown::bytes(&bundle.keys.identity_key),
            agreement_key: shown::bytes(&bundle.keys.agreement_key),
            prekey: shown::bytes(&bundle.prekey),
            cursor,
        }
    }
}

impl fmt::Display for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "revision {}, version {}, identity key {}", self.revision, self.version, self.identity_key)
    }
}

impl Said for Made {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let what = match self.status {
            "created" => "now has messaging keys",
            "replaced" => "now has other messaging keys",
            _ => "has its messaging keys back",
        };
        writeln!(f, "{} {what}.", self.account)?;
        writeln!(f, "  published  {}", self.published)?;
        if let Some(price) = self.joined_with.as_ref().filter(|it| !it.passes.is_empty()) {
            writeln!(f, "  joined     {price}")?;
        }
        if let Some(Conditions { named, blocked_tags, .. }) = &self.policy {
            let blocked = blocked_tags.len();
            writeln!(
                f,
                "  policy     asks for {named}, with {blocked} blocked tags, as the replaced keys had signed it"
            )?;
        }
        writeln!(f, "  kept in    {}", self.home)
    }
}

impl Said for Status {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        writeln!(f, "{}", self.account)?;
        for (name, bundle) in [("here     ", &self.here), ("published", &self.published)] {
            match bundle {
                Some(bundle) => writeln!(f, "  {name}  {bundle}")?,
                None => writeln!(f, "  {name}  no messaging keys")?,
            }
        }
        writeln!(f, "  kept in    {}", self.home)
    }
}
