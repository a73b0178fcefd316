//! `xmtp policy`.

use std::fmt;

use serde::Serialize;
use xmtp_proto::account::Account;
use xmtp_proto::requirement::Names;
use xmtp_sdk::client::{Client, PublishedPolicy};

use crate::args::Policy;
use crate::context;
use crate::failure::Failure;
use crate::output::{Output, Said};
use crate::settings::Settings;

pub(super) async fn run(command: Policy, settings: &Settings, client: &Client, output: &Output) -> Result<(), Failure> {
    match command {
        Policy::Show { account } => {
            let account = match account {
                Some(account) => context::account(account, settings, output).await?,
                None => client.account(),
            };
            let policy = client.policy(account).await?;
            output.say(&Shown::new(client, account, policy.as_ref(), None))
        }
        Policy::Set { requirement } => {
            let requirement = names(client).read(&requirement).map_err(|error| Failure::usage(error.to_string()))?;
            let PublishedPolicy { signed, cursor } = client.set_policy(requirement).await?;
            output.say(&Shown::new(client, client.account(), Some(signed.policy()), Some(cursor.0)))
        }
    }
}

/// What the network calls its claims and tiers.
fn names(client: &Client) -> Names {
    let deployment = client.deployment();
    let claims = deployment.offered_claims.iter().map(|it| (it.name.clone(), it.id(client.network()))).collect();
    Names { claims, tiers: deployment.tier_names.clone() }
}

#[derive(Serialize)]
struct Shown {
    account: String,
    policy: Option<Conditions>,
    /// Where it stands in the operator's log, if it was published just now.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<u64>,
}

#[derive(Serialize)]
pub(super) struct Conditions {
    version: u64,
    requirement: String,
    /// The same in the network's names.
    pub(super) named: String,
    pub(super) blocked_tags: Vec<String>,
    revoked_attestations: Vec<String>,
}

impl Conditions {
    pub(super) fn new(client: &Client, policy: &xmtp_proto::policy::Policy) -> Self {
        Self {
            version: policy.version,
            requirement: policy.requirement.to_string(),
            named: names(client).write(&policy.requirement).to_string(),
            blocked_tags: policy.blocked_tags.iter().map(ToString::to_string).collect(),
            revoked_attestations: policy.revoked_attestations.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Shown {
    fn new(
        client: &Client,
        account: Account,
        policy: Option<&xmtp_proto::policy::Policy>,
        cursor: Option<u64>,
    ) -> Self {
        let policy = policy.map(|policy| Conditions::new(client, policy));
        Self { account: account.to_string(), policy, cursor }
    }
}

impl Said for Shown {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let Some(Conditions { version, requirement: _, named, blocked_tags, revoked_attestations }) = &self.policy
        else {
            return writeln!(f, "{} asks for nothing beyond what the network asks.", self.account);
        };
        writeln!(f, "{} asks for {named} (version {version}).", self.account)?;
        for (what, count) in
            [("blocked tags", blocked_tags.len()), ("revoked attestations", revoked_attestations.len())]
        {
            if count > 0 {
                writeln!(f, "  {count} {what}")?;
            }
        }
        Ok(())
    }
}
