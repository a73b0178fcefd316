//! Ways to the node, as they are named: `URL` for all connections, `ROLE=URL` for those of one role.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use xmtp_sdk::transport::{InvalidProxy, Proxies, Proxy, Role};

/// A proxy, and whose connections go through it.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    /// None for all.
    role: Option<Role>,
    proxy: Arc<Proxy>,
}

/// The proxies that these name, the last one for each role.
pub(crate) fn proxies<'a>(ways: impl IntoIterator<Item = &'a Way>) -> Proxies {
    let mut proxies = Proxies::default();
    for Way { role, proxy } in ways {
        for role in Role::ALL.into_iter().filter(|it| role.is_none_or(|role| role == *it)) {
            proxies.set(role, Arc::clone(proxy));
        }
    }
    proxies
}

impl FromStr for Way {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let role = Role::ALL.into_iter().find_map(|role| {
            let rest = text.strip_prefix(role.as_str())?.strip_prefix('=')?;
            Some((role, rest))
        });
        let (role, url) = role.map_or((None, text), |(role, url)| (Some(role), url));
        let proxy: Proxy = url.parse().map_err(|error: InvalidProxy| {
            let roles = Role::ALL.map(Role::as_str).join("=, ");
            format!("{error}; before it {roles}= for the connections of one role")
        })?;
        Ok(Self { role, proxy: proxy.into() })
    }
}

impl<'de> Deserialize<'de> for Way {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Without passwords.
impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.role {
            Some(role) => write!(f, "{role}={}", self.proxy),
            None => self.proxy.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_way_of_a_role_counts() {
        let ways = ["tor://127.0.0.1:9050", "reading=socks5://u:p@[::1]:1080", "asking=http://proxy:3128"];
        let ways = ways.map(|text| text.parse::<Way>().unwrap());
        assert_eq!(ways[1].to_string(), "reading=socks5://[::1]:1080");
        let proxies = proxies(&ways);
        let of = |role| proxies.of(role).unwrap().to_string();
        assert_eq!(of(Role::Mine), "tor://127.0.0.1:9050");
        assert_eq!(of(Role::Posting), "tor://127.0.0.1:9050");
        assert_eq!(of(Role::Reading), "socks5://[::1]:1080");
        assert_eq!(of(Role::AskingAndFranking), "http://proxy:3128");
    }

    #[test]
    fn mistake_names_the_roles() {
        let error = "writing=tor://127.0.0.1:9050".parse::<Way>().unwrap_err();
        assert!(error.contains("mine=, reading=, posting=, asking="), "{error}");
    }
}
