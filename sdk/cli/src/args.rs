//! What can be said on the command line.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use alloy::primitives::U256;
use clap::{Args as Group, Parser, Subcommand};
use clap_complete::Shell;
use url::Url;
use xmtp_proto::account::{Account, InvalidAccount};
use xmtp_proto::derive::Denomination;
use xmtp_proto::requirement::check_text;
use xmtp_prover::Limit;
use xmtp_sdk::connection::QUOTA;
use xmtp_sdk::ens::{EnsName, InvalidName};
use xmtp_sdk::state::BookId;

use crate::way::Way;

/// Mail between blockchain accounts: end-to-end encrypted, and delivered on the recipient's conditions.
#[derive(Debug, Parser)]
#[command(name = "xmtp", version, arg_required_else_help = true)]
#[command(args_override_self = true, max_term_width = 110)]
#[command(
    after_help = "The wallet's key is read from --keystore, else from $XMTP_WALLET_KEY (64 hexadecimal digits), else asked for.\n\n\
                        What is set neither by a flag nor by the environment is read from config.toml in the home, else in the\n\
                        system's folder for configuration: network, node, ca_file, proxy, delay, rpc, ens_rpc, proving_key,\n\
                        keystore, password_file.\n\n\
                        Exit status: 0 done, 1 refused or failed, 2 wrong usage.\n\
                        With --json a failure is {\"error\":{\"code\",\"message\",\"hint\"}} on stdout."
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Group)]
pub(crate) struct Global {
    /// The network's deployment file, `deployments/<chainId>.json`.
    #[arg(long, env = "XMTP_NETWORK", value_name = "FILE", global = true, help_heading = "Network")]
    pub(crate) network: Option<PathBuf>,
    /// The node to publish to and read from, https:// or http://; what is asked and answered over http:// travels readable
    /// [default: http://127.0.0.1:5050].
    #[arg(long, env = "XMTP_NODE", value_name = "URL", global = true, help_heading = "Network")]
    pub(crate) node: Option<Url>,
    /// Certificates of the authorities that vouch for the node's name, in PEM, as a private network has them
    /// [default: those that this system trusts].
    #[arg(long, env = "XMTP_CA_FILE", value_name = "FILE", global = true, help_heading = "Network")]
    pub(crate) ca_file: Option<PathBuf>,
    /// A proxy to the node: socks5://, http:// or, with a way of its own for each connection, tor://; behind mine=, reading=,
    /// posting= or asking= for the connections of one role. May be given again; the last one for a role counts.
    // Such addresses often hold a password.
    #[arg(long, env = "XMTP_PROXY", hide_env_values = true, value_name = "[ROLE=]URL", global = true)]
    #[arg(value_delimiter = ',', action = clap::ArgAction::Append, help_heading = "Network")]
    pub(crate) proxy: Vec<Way>,
    /// The longest random delay of copies for the account's other installations, and of openings, so that a watcher of the node
    /// does not see what belongs together; 0s for none [default: 30s].
    #[arg(long, env = "XMTP_DELAY", value_name = "DURATION", global = true, value_parser = humantime::parse_duration)]
    #[arg(help_heading = "Network")]
    pub(crate) delay: Option<Duration>,
    /// The chain's JSON-RPC endpoint, needed to buy stamps, to stake and to register [default: http://127.0.0.1:8545].
    // Such addresses often hold a key of their provider's.
    #[arg(long, env = "XMTP_RPC", hide_env_values = true, value_name = "URL", global = true, help_heading = "Network")]
    pub(crate) rpc: Option<Url>,
    /// A JSON-RPC endpoint of Ethereum's mainnet, needed to write to a name such as alice.eth.
    #[arg(long, env = "XMTP_ENS_RPC", hide_env_values = true, value_name = "URL", global = true)]
    #[arg(help_heading = "Network")]
    pub(crate) ens_rpc: Option<Url>,
    /// A ceremony's proving key, pass.pk; development networks need none.
    #[arg(long, env = "XMTP_PROVING_KEY", value_name = "FILE", global = true, help_heading = "Network")]
    pub(crate) proving_key: Option<PathBuf>,
    /// Where state is kept; one folder per network and account [default: the system's folder for data].
    #[arg(long, env = "XMTP_HOME", value_name = "FOLDER", global = true, help_heading = "State")]
    pub(crate) home: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) wallet: Wallet,
    /// Show claims too that so few hold that they nearly say who this is: fewer than 100.
    #[arg(long, global = true)]
    pub(crate) small_claims: bool,
    /// Print exactly one JSON object.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// The wallet whose account this is. Without a keystore and without the environment's key, the key is asked for.
#[derive(Debug, Group)]
pub(crate) struct Wallet {
    /// A Web3 keystore (version 3) with the wallet's key.
    #[arg(long, env = "XMTP_KEYSTORE", value_name = "FILE", global = true, help_heading = "Wallet")]
    pub(crate) keystore: Option<PathBuf>,
    /// A file whose first line is the keystore's password; without it the password is asked for.
    #[arg(long, env = "XMTP_PASSWORD_FILE", value_name = "FILE", global = true, help_heading = "Wallet")]
    pub(crate) password_file: Option<PathBuf>,
}

/// A key on the command line would be in every list of processes, so it is read here and cannot be given there.
pub(crate) const WALLET_KEY: &str = "XMTP_WALLET_KEY";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The account's messaging keys.
    #[command(subcommand)]
    Identity(Identity),
    /// Who may write to an account.
    #[command(subcommand)]
    Policy(Policy),
    /// Prepaid postage.
    #[command(subcommand)]
    Stamps(Stamps),
    /// Tokens locked for the right to write so many letters a day.
    #[command(subcommand)]
    Stake(Stake),
    /// List the claims that the network offers, and which of them hold of this account today; or declare one, or
    /// register for one.
    Claims {
        #[command(subcommand)]
        command: Option<Claims>,
    },
    /// Show what writing to an account takes, and what it would cost.
    Requirements {
        /// The account: 0x and 40 hexadecimal digits, CAIP-10, or an ENS name.
        account: Who,
    },
    /// Tell whether this wallet can write to an account now: exit status 0 if it can, 1 if it cannot.
    CanSend {
        /// The account: 0x and 40 hexadecimal digits, CAIP-10, or an ENS name.
        account: Who,
    },
    /// Write to an account.
    Send(Send),
    /// Go on in the conversation with an account, free of postage: to answer a letter, or to add to one's own.
    Reply {
        /// With whom: 0x and 40 hexadecimal digits, CAIP-10, or an ENS name.
        account: Who,
        /// What to write.
        text: String,
    },
    /// Show who may write to this account by its word, who asked, and whom it may write to.
    Connections,
    /// Let who has written go on without postage: a connection, delivered in the conversation.
    Accept {
        /// Who: 0x and 40 hexadecimal digits, CAIP-10, or an ENS name.
        account: Who,
        /// How much it may write: units of postage per day, 1 to 10,000.
        #[arg(long, value_name = "UNITS", default_value_t = QUOTA)]
        quota: u32,
        /// For how long, at most 366 days.
        #[arg(long = "for", value_name = "DURATION", default_value = "90days", value_parser = humantime::parse_duration)]
        life: Duration,
    },
    /// Leave a request without an answer; nobody is told.
    Decline {
        /// Whose: 0x and 40 hexadecimal digits, CAIP-10, or an ENS name.
        account: Who,
    },
    /// Take a connection back: its holder must meet the policy again.
    Revoke {
        /// Whose: 0x and 40 hexadecimal digits, CAIP-10, or an ENS name.
        account: Who,
    },
    /// Shut an account out: its connection is revoked, the pseudonyms that it has shown count for nothing, and its letters are
    /// not shown.
    Block {
        /// Who: 0x and 40 hexadecimal digits, CAIP-10, or an ENS name.
        account: Who,
    },
    /// Read the letters that came, and the conversations that followed, decrypted and verified.
    Inbox {
        /// Only those that this client has not read before.
        #[arg(long)]
        new: bool,
    },
    /// Show which letters with stamps the node knows to have been read by this account.
    Receipts,
    /// Wait for letters and messages and print each as it comes, until Ctrl-C. With --json one object per line.
    Watch {
        /// Begin with the first letter there is, not with the first that this client has not read.
        #[arg(long)]
        all: bool,
        /// Letters only, not what follows them.
        #[arg(long)]
        letters: bool,
    },
    /// Show what was written and did not get through: what waits to be sent again, and letters that were refused.
    Outbox,
    /// Do at once what was put off for a random while, send again what did not get through, and learn what the account's other
    /// installations have done.
    Sync,
    /// Look for what stands between this machine and a letter; exit status 1 if something does.
    Doctor,
    /// Files with wallets' keys.
    #[command(subcommand)]
    Keystore(Keystore),
    /// Where nodes, chains and files are looked for.
    #[command(subcommand)]
    Config(Config),
    /// Print a script that completes this command's words in a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
    /// Print this command's manual page.
    Man {
        /// Write a page for each command into this folder instead.
        folder: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keystore {
    /// Make a wallet's key and keep it in a new file (Web3 Secret Storage, version 3), under a password that is asked for
    /// twice or read from --password-file.
    New {
        /// The file; there must be none yet.
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Show what is set.
    Show {
        /// And who set it: a flag, the environment, a file, or nobody.
        #[arg(long)]
        origin: bool,
    },
}

/// An account, or a name that stands for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Account(Account),
    Name(EnsName),
}

impl FromStr for Who {
    type Err = String;

    /// What has a dot can only be meant as a name.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('.') {
            return text.parse().map(Self::Name).map_err(|error: InvalidName| error.to_string());
        }
        text.parse().map(Self::Account).map_err(|error: InvalidAccount| error.to_string())
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Identity {
    /// Make messaging keys, have the wallet attest them, and publish them.
    New {
        /// In the place of published ones, because those may be in other hands; in a --home without keys. Whatever only the old
        /// ones open, stamps too, stays where they are.
        #[arg(long)]
        replace: bool,
        /// The most to spend if the network asks for stamps of an account that joins, in units [default: 2].
        #[arg(long, value_name = "UNITS", conflicts_with = "replace")]
        max_price: Option<u32>,
    },
    /// Show the account's messaging keys, here and as published.
    Show,
    /// Recover the messaging keys from the network, with the wallet alone.
    Restore,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Show an account's policy, verified.
    Show {
        /// Whose; the own account's by default.
        account: Option<Who>,
    },
    /// Publish what strangers must show to write to this account.
    #[command(
        after_help = "A requirement is any(…), all(…), stamp(UNITS), stamp(UNITS, tagged), stake(TIER | NAME | any),\n\
                            claim(ID | NAME | any), member or connection; all() asks for nothing. Names are those of the\n\
                            network's deployment file.\n\n\
                            open      all(): nothing beyond what the network asks\n\
                            friends   connection: who was accepted, and nobody else\n\
                            priced    any(connection, stamp(5)): who was accepted, and who pays five units\n\
                            closed    any(): nobody\n\n\
                            Example: xmtp policy set 'any(connection, claim(cool-cats), stake(silver), stamp(5))'"
    )]
    Set {
        /// Such as `stamp(5)`: five units of postage; or one of open, friends, priced and closed.
        #[arg(value_parser = requirement)]
        requirement: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Stamps {
    /// Buy a book of stamps with $XMTP, in one transaction.
    Buy {
        /// What one stamp is worth, in units: 1, 2, 5, 10, 20, 50, 100, 200 or 500.
        #[arg(long, value_name = "UNITS", default_value = "1", value_parser = denomination)]
        denomination: Denomination,
        /// How many stamps: 1 to 65,536.
        #[arg(long, value_parser = count)]
        count: Limit,
    },
    /// List the account's books: those of this installation, and those of its others.
    List,
    /// Use another installation's book here too: for when that one is gone. From then on both can use it, and never one stamp
    /// twice.
    TakeOver {
        /// Which, as `xmtp stamps list` names it.
        book: BookId,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Stake {
    /// Lock what a tier asks for in $XMTP, in one transaction. It comes back a week after it was left.
    Lock {
        /// The tier's number: `xmtp stake list` shows which there are.
        #[arg(long, default_value = "1")]
        tier: u32,
    },
    /// List the network's tiers, and the account's stakes: those of this installation, and those of its others.
    List,
    /// Use another installation's stake here too: for when that one is gone. From then on both can use it, and never one index
    /// of a day twice.
    TakeOver {
        /// Which, as `xmtp stake list` names it.
        stake: BookId,
    },
    /// Leave a stake for good: it pays for no letters any more, and a week later it can be withdrawn.
    Exit {
        /// Which, as `xmtp stake list` names it.
        stake: BookId,
    },
    /// Have a stake paid back that was left a week ago.
    Withdraw {
        /// Which, as `xmtp stake list` names it.
        stake: BookId,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Claims {
    /// Put a claim on the chain with the terms that the network's file names, so that holders can register for it, or issuers
    /// anchor what they sign. Anybody may, once, and pays for the transaction.
    Declare {
        /// Which claim, as `xmtp claims` names it.
        claim: String,
    },
    /// Register a token of this wallet for a claim that has no issuers, for the present quarter. Everybody can read on the chain
    /// that this account did; which letters it pays for nobody can. It counts from the next day on, the first of all at once.
    Register {
        /// Which claim, as `xmtp claims` names it.
        claim: String,
        /// The token's number; may be left out where the claim is about one.
        #[arg(long, value_name = "ID")]
        token: Option<U256>,
    },
    /// Have the entry of a token removed whose holder has it no more. Anybody may, and pays for the transaction.
    Prune {
        /// Which claim, as `xmtp claims` names it.
        claim: String,
        /// The token's number; may be left out where the claim is about one.
        #[arg(long, value_name = "ID")]
        token: Option<U256>,
        /// Of which quarter: Unix seconds / 7,889,400 [default: the present one].
        #[arg(long)]
        generation: Option<u32>,
    },
}

#[derive(Debug, Group)]
pub(crate) struct Send {
    /// To whom: 0x and 40 hexadecimal digits, CAIP-10, or an ENS name.
    pub(crate) account: Who,
    /// What to write.
    pub(crate) text: String,
    /// The most to pay, in units of postage [default: twice what the recipient asks, or twice a letter's usual postage if
    /// that is more].
    #[arg(long, value_name = "UNITS")]
    pub(crate) max_price: Option<u32>,
    /// Attach nothing and let the node judge: right for those who ask for nothing, refused by all others.
    #[arg(long, alias = "without-pass", conflicts_with = "max_price")]
    pub(crate) without_passes: bool,
    /// Spend even from a group of so few books that it hides nobody.
    #[arg(long)]
    pub(crate) from_small_groups: bool,
    /// Say, too, what is asked and by whom, what is at hand, what was chosen of it and why, and at what price.
    #[arg(long)]
    pub(crate) explain: bool,
}

/// What most people want, by one word.
fn preset(word: &str) -> Option<&'static str> {
    match word.trim() {
        "open" => Some("all()"),
        "friends" => Some("connection"),
        "priced" => Some("any(connection, stamp(5))"),
        "closed" => Some("any()"),
        _ => None,
    }
}

/// What names in it stand for is known with the network.
fn requirement(text: &str) -> Result<String, String> {
    let text = preset(text).unwrap_or(text);
    check_text(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

fn denomination(text: &str) -> Result<Denomination, String> {
    let units: u32 = text.parse().map_err(|_| "expected a number of units".to_owned())?;
    units.try_into().map_err(|error: xmtp_proto::derive::NoSuchDenomination| error.to_string())
}

fn count(text: &str) -> Result<Limit, String> {
    let count = text.parse().map_err(|_| "expected a number".to_owned())?;
    Limit::new(count).map_err(|_| "a book has between 1 and 65,536 stamps".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn commands_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn name_is_told_from_an_account_by_its_dot() {
        let address = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045";
        assert_eq!(address.parse(), Ok(Who::Account(address.parse().unwrap())));
        assert_eq!("Alice.eth".parse(), Ok(Who::Name("alice.eth".parse().unwrap())));
        assert!("alice".parse::<Who>().unwrap_err().contains("0x"));
        assert!("0xd8dA.eth.".parse::<Who>().unwrap_err().contains("alice.eth"));
    }
}
