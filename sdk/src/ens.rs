//! ENS names (ERC-137) in place of addresses. A name is resolved here, on Ethereum, before anything else happens: no node ever
//! sees one, and what is written to is the address.
//!
//! Names are taken as far as they are plain ASCII. The rest of ENSIP-15 is left out with intent: two names that look alike
//! would be two accounts. The endpoint is believed, as it is for a balance; a resolver may send the client to a gateway of its
//! choice (ERC-3668).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use alloy::providers::{Provider as _, ProviderBuilder};
use alloy_ens::ProviderEnsExt as _;
use url::Url;
use xmtp_proto::account::Account;

/// The chain that has the registry.
const MAINNET: u64 = 1;
/// For all of a resolution, gateways included.
const TIMEOUT: Duration = Duration::from_secs(20);
/// As long as the wire form of a DNS name may be (RFC 1035).
const MAX_NAME_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// A name such as `alice.eth`, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnsName(String);

/// Not a name that is taken here. The user's to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Letters from outside ASCII can look like others.
    #[error("only names of plain letters, digits, `-` and `_` are taken: use the address")]
    NotPlain,
    /// Empty labels, no dot, or too long.
    #[error("expected a name such as alice.eth")]
    Syntax,
}

/// The name leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// ENS lives on chain 1. The user's to mend.
    #[error("the endpoint for names serves chain {0}, and names live on chain {MAINNET}")]
    OtherChain(u64),
    /// Nobody owns it, or its owner set no address.
    #[error("{0} has no address")]
    NoAddress(EnsName),
    /// The endpoint or a resolver failed.
    #[error("{name} was not resolved: {reason}")]
    Failed {
        /// Which.
        name: EnsName,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for EnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for EnsName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let name = text.to_ascii_lowercase();
        if !name.contains('.') || name.len() > MAX_NAME_BYTES {
            return Err(InvalidName::Syntax);
        }
        if name.split('.').any(|label| label.is_empty() || label.len() > MAX_LABEL_BYTES) {
            return Err(InvalidName::Syntax);
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if name.bytes().all(plain) { Ok(Self(name)) } else { Err(InvalidName::NotPlain) }
    }
}

/// The account that a name stands for now, asked of an Ethereum endpoint.
///
/// # Errors
/// [`ResolveError`].
pub async fn resolve(rpc: &Url, name: &EnsName) -> Result<Account, ResolveError> {
    // Fails where one was chosen already, which is as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let failed = |reason: String| ResolveError::Failed { name: name.clone(), reason };
    let provider = ProviderBuilder::new().connect_http(rpc.clone());
    let ask = async {
        let chain = provider.get_chain_id().await.map_err(|error| failed(error.to_string()))?;
        if chain != MAINNET {
            return Err(ResolveError::OtherChain(chain));
        }
        provider.resolve_name(&name.0).await.map_err(|error| failed(error.to_string()))
    };
    let address = tokio::time::timeout(TIMEOUT, ask)
        .await
        .map_err(|_| failed(format!("no answer within {} s", TIMEOUT.as_secs())))??;
    if address.is_zero() { Err(ResolveError::NoAddress(name.clone())) } else { Ok(Account::externally_owned(address)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_plain_and_in_lower_case() {
        for (text, expected) in [
            ("alice.eth", Ok("alice.eth")),
            ("Alice.ETH", Ok("alice.eth")),
            ("pay.alice-2_x.eth", Ok("pay.alice-2_x.eth")),
            ("alice", Err(InvalidName::Syntax)),
            (".eth", Err(InvalidName::Syntax)),
            ("alice..eth", Err(InvalidName::Syntax)),
            ("alice.eth.", Err(InvalidName::Syntax)),
            ("", Err(InvalidName::Syntax)),
            // A Cyrillic a.
            ("\u{430}lice.eth", Err(InvalidName::NotPlain)),
            ("al ice.eth", Err(InvalidName::NotPlain)),
        ] {
            assert_eq!(text.parse::<EnsName>(), expected.map(|name| EnsName(name.to_owned())), "{text}");
        }
        assert_eq!(format!("{}.eth", "a".repeat(64)).parse::<EnsName>(), Err(InvalidName::Syntax));
    }
}
