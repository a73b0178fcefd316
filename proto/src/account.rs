//! Accounts as CAIP-10 names them.

use std::fmt;
use std::str::FromStr;

use alloy_primitives::Address;

/// The longest name: `eip155:`, twenty digits, `:0x` and forty hexadecimal ones.
pub const MAX_NAME_BYTES: usize = 70;

const NAMESPACE: &str = "eip155";

/// A blockchain account, `eip155:<chain>:0x<address>` (CAIP-10). A bare address means `eip155:1`.
///
/// An externally owned account is one account on all `eip155` chains, and its name here is the one on chain 1; a smart
/// account is bound to its own chain. Names are written in lower case and read in lower case or with a valid checksum
/// (EIP-55); [`Account::from_canonical`] reads nothing but the written form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    chain_id: u64,
    address: Address,
}

/// The text names no account. The fault of whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAccount {
    /// Not `eip155:<chain>:0x<address>` and no bare address either.
    #[error("expected 0x and 40 hexadecimal digits, alone or behind `eip155:<chain id>:`")]
    Syntax,
    /// Another namespace than `eip155`.
    #[error("only accounts of EVM chains (`eip155`) are known here")]
    Namespace,
    /// Mixed case that is not the checksum of EIP-55.
    #[error("the address's checksum (EIP-55) does not match: a digit was mistyped")]
    Checksum,
    /// A name that is right but not in its one written form.
    #[error("not in canonical form: lower case, no leading zeros, with `eip155:<chain id>:`")]
    NotCanonical,
}

impl Account {
    /// An externally owned account.
    #[must_use]
    pub const fn externally_owned(address: Address) -> Self {
        Self { chain_id: 1, address }
    }

    /// An account on one chain.
    #[must_use]
    pub const fn on_chain(chain_id: u64, address: Address) -> Self {
        Self { chain_id, address }
    }

    /// The chain of the name: 1 for externally owned accounts.
    #[must_use]
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// The address on that chain.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Reads the canonical form and no other, as it stands in topics and records.
    ///
    /// # Errors
    /// [`InvalidAccount`]; [`InvalidAccount::NotCanonical`] if another spelling of the same account was given.
    pub fn from_canonical(text: &str) -> Result<Self, InvalidAccount> {
        let account: Self = text.parse()?;
        if account.to_string() == text { Ok(account) } else { Err(InvalidAccount::NotCanonical) }
    }
}

impl FromStr for Account {
    type Err = InvalidAccount;

    fn from_str(text: &str) -> Result<Self, InvalidAccount> {
        if text.len() > MAX_NAME_BYTES {
            return Err(InvalidAccount::Syntax);
        }
        let mut parts = text.split(':');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(address), None, None, None) => Ok(Self::externally_owned(parse_address(address)?)),
            (Some(NAMESPACE), Some(chain_id), Some(address), None) => {
                let digits_only = chain_id.bytes().all(|byte| byte.is_ascii_digit());
                let chain_id: u64 = chain_id.parse().map_err(|_| InvalidAccount::Syntax)?;
                if !digits_only || chain_id == 0 {
                    return Err(InvalidAccount::Syntax);
                }
                Ok(Self { chain_id, address: parse_address(address)? })
            }
            (Some(_), Some(_), Some(_), None) => Err(InvalidAccount::Namespace),
            _ => Err(InvalidAccount::Syntax),
        }
    }
}

fn parse_address(text: &str) -> Result<Address, InvalidAccount> {
    let digits = text.strip_prefix("0x").ok_or(InvalidAccount::Syntax)?;
    let address: Address = if digits.len() == 40 {
        digits.parse().map_err(|_| InvalidAccount::Syntax)?
    } else {
        return Err(InvalidAccount::Syntax);
    };
    let mixed =
        digits.bytes().any(|byte| byte.is_ascii_uppercase()) && digits.bytes().any(|byte| byte.is_ascii_lowercase());
    if mixed && address.to_checksum(None) != text {
        return Err(InvalidAccount::Checksum);
    }
    Ok(address)
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `{:x}` of an address is lower case; its `Display` would carry a checksum.
        write!(f, "{NAMESPACE}:{}:{:#x}", self.chain_id, self.address)
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VITALIK: &str = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045";

    fn check(text: &str, expected: Result<&str, InvalidAccount>) {
        assert_eq!(text.parse::<Account>().map(|account| account.to_string()), expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn every_spelling_of_an_account_is_one_account() {
        const CANONICAL: &str = "eip155:1:0xd8da6bf26964af9d7eed9e03e53415d37aa96045";
        check(VITALIK, Ok(CANONICAL));
        check(&VITALIK.to_lowercase(), Ok(CANONICAL));
        check(&format!("eip155:1:{VITALIK}"), Ok(CANONICAL));
        check(&format!("eip155:10:{VITALIK}"), Ok("eip155:10:0xd8da6bf26964af9d7eed9e03e53415d37aa96045"));
    }

    #[test]
    fn what_names_no_account_is_refused_with_the_reason() {
        check("", Err(InvalidAccount::Syntax));
        check("vitalik.eth", Err(InvalidAccount::Syntax));
        check(&VITALIK[..41], Err(InvalidAccount::Syntax));
        check(&VITALIK.replace("0x", "00"), Err(InvalidAccount::Syntax));
        check(&VITALIK.replace("d8dA", "d8da"), Err(InvalidAccount::Checksum));
        check("cosmos:cosmoshub-3:cosmos1t2uflqwqe0fsj0shcfkrvpukewcw40yjj6hdc0", Err(InvalidAccount::Namespace));
        check("eip155:+1:0xd8da6bf26964af9d7eed9e03e53415d37aa96045", Err(InvalidAccount::Syntax));
        check("eip155:0:0xd8da6bf26964af9d7eed9e03e53415d37aa96045", Err(InvalidAccount::Syntax));
        check("eip155:1:0xd8da6bf26964af9d7eed9e03e53415d37aa96045:1", Err(InvalidAccount::Syntax));
    }

    #[test]
    fn only_the_written_form_is_canonical() {
        assert!(Account::from_canonical("eip155:1:0xd8da6bf26964af9d7eed9e03e53415d37aa96045").is_ok());
        for other in [VITALIK, "eip155:01:0xd8da6bf26964af9d7eed9e03e53415d37aa96045"] {
            assert_eq!(Account::from_canonical(other), Err(InvalidAccount::NotCanonical), "{other}");
        }
    }
}
