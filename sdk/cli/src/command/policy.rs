//! `xmtp policy`.

use std::fmt;

use serde::Serialize;
use xmtp_proto::account::Account;
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
            output.say(&Shown::new(account, policy.as_ref(), None))
        }
        Policy::Set { requirement } => {
            let PublishedPolicy { signed, cursor } = client.set_policy(requirement).await?;
            output.say(&Shown::new(client.account(), Some(signed.policy()), Some(cursor.0)))
        }
    }
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
struct Conditions {
    version: u64,
    requirement: String,
    blocked_tags: Vec<String>,
    revoked_attestations: Vec<String>,
}

impl Shown {
    fn new(account: Account, policy: Option<&xmtp_proto::policy::Policy>, cursor: Option<u64>) -> Self {
        let policy = policy.map(|policy| Conditions {
            version: policy.version,
            requirement: policy.requirement.to_string(),
            blocked_tags: policy.blocked_tags.iter().map(ToString::to_string).collect(),
            revoked_attestations: policy.revoked_attestations.iter().map(ToString::to_string).collect(),
        });
        Self { account: account.to_string(), policy, cursor }
    }
}

impl Said for Shown {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let Some(Conditions { version, requirement, blocked_tags, revoked_attestations }) = &self.policy else {
            return writeln!(f, "{} asks for nothing beyond what the network asks.", self.account);
        };
        writeln!(f, "{} asks for {requirement} (version {version}).", self.account)?;
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
