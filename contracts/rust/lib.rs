//! The contracts as Rust sees them (docs/protocol.md, "Contracts").
//!
//! * [`IPostage`], [`IStake`], [`IClaims`], [`IXmtpToken`]: bindings made from the text of `contracts/src/interfaces`, where everything is documented.
//! * [`Deployment`]: where they live on a chain, as `deployments/<chainId>.json` says it, and which [claims](OfferedClaim) a
//!   network offers.
//! * [`deploy`]: puts them on a chain from checked-in bytecode, without a Solidity compiler.
//! * [`paid_by`]: a chain on which a wallet pays.
//! * [`leaf_log`]: what a follower checks a group's events against.
//! * `testing` (feature): a chain of one's own.
//!
//! The ids of networks and groups are derived values of the protocol and live in `xmtp-proto`.

mod artifact;
mod claims;
mod deploy;
mod deployment;
pub mod leaf_log;
mod payer;
#[cfg(feature = "testing")]
pub mod testing;

use std::time::Duration;

pub use bindings::{claims::IClaims, postage::IPostage, stake::IStake, token::IXmtpToken};
pub use claims::{Condition, OfferedClaim};
pub use deploy::{DeployError, Parameters, deploy};
pub use deployment::{Deployment, LoadError, Staking, Tier, VerifyError};
pub use payer::paid_by;

/// What one stamp may be worth, in units of postage.
pub const DENOMINATIONS: [u32; 9] = [1, 2, 5, 10, 20, 50, 100, 200, 500];

/// The most stamps in one book; the fewest is one.
pub const MAX_COUNT: u32 = 1 << 16;

/// A book is valid to the end of this many issues after its own.
pub const VALID_ISSUES_AFTER: u32 = 4;

/// How long after the end of its validity a book's bond returns.
pub const BOND_COOLDOWN: Duration = Duration::from_secs(14 * 86_400);

/// How long after the end of an issue's validity what it still holds may be burned by anybody.
pub const EXPIRY: Duration = Duration::from_secs(180 * 86_400);

/// The most envelopes a day that a tier of stakes may allow; the fewest is one.
pub const MAX_LIMIT: u32 = 1 << 16;

/// How long after its exit was requested a stake can be withdrawn, and still be slashed.
pub const STAKE_COOLDOWN: Duration = Duration::from_secs(7 * 86_400);

/// How long before a deposit is taken back its payer must give notice.
pub const DEPOSIT_NOTICE: Duration = Duration::from_secs(7 * 86_400);

// Made by alloy from the interfaces, documentation included.
#[allow(missing_docs, unreachable_pub, clippy::use_self, clippy::too_many_arguments)]
mod bindings {
    pub mod claims {
        alloy::sol! {
            #![sol(rpc, all_derives)]
            "src/interfaces/IClaims.sol"
        }
    }
    pub mod postage {
        alloy::sol! {
            #![sol(rpc, all_derives)]
            "src/interfaces/IPostage.sol"
        }
    }
    pub mod stake {
        alloy::sol! {
            #![sol(rpc, all_derives)]
            "src/interfaces/IStake.sol"
        }
    }
    pub mod token {
        alloy::sol! {
            #![sol(rpc, all_derives)]
            "src/interfaces/IXmtpToken.sol"
        }
    }
}
