//! Proxies: ways to the node that do not begin at this machine's address (docs/protocol.md, "Reading leaks too").
//!
//! What a proxy is told is the node's name and port: the name is resolved there, and no question for it leaves this machine.
//! One connection of ours is one connection through the proxy.

use std::convert::Infallible;
use std::fmt;
use std::future::ready;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::hex;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::net::TcpStream;
use tower::util::BoxCloneService;
use tower::{Service as _, ServiceExt as _, service_fn};
use url::{Host, Url};
use zeroize::Zeroizing;

use super::connection::Role;
use crate::keys::random;

/// To connect to the proxy, and for the proxy to connect: new ways through an onion network take their time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// User names and passwords are no longer (RFC 1929).
const MAX_CREDENTIAL_BYTES: usize = 255;

/// A proxy: `socks5://` (RFC 1928, 1929), `http://` (CONNECT of RFC 9110), with a user name and a password before the host
/// where it asks for them; or `tor://`, a SOCKS proxy that gets a random user name with every connection, so that each goes
/// its own way through the network.
pub struct Proxy {
    kind: Kind,
    host: String,
    port: u16,
}

enum Kind {
    Socks5(Option<Credentials>),
    Tor,
    Http(Option<Credentials>),
}

struct Credentials {
    user: String,
    password: Zeroizing<String>,
}

/// For each role its proxy, if it has one.
#[derive(Clone, Default)]
pub struct Proxies([Option<Arc<Proxy>>; Role::ALL.len()]);

/// Not a proxy. The user's to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProxy {
    /// Not one of the schemes, or without a host or a port.
    #[error("expected socks5://[user:password@]host:port, tor://host:port or http://[user:password@]host:port")]
    Address,
    /// It cannot be said in the protocol.
    #[error("a proxy's user name and password have at most {MAX_CREDENTIAL_BYTES} bytes each, and are text")]
    Credentials,
    /// They are made anew for every connection there.
    #[error("tor:// takes no user name: each connection gets one of its own")]
    NotTaken,
}

/// The proxy did not connect: why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct ProxyFailed(pub(super) String);

type Connector = BoxCloneService<Uri, TokioIo<TcpStream>, ProxyFailed>;

impl Proxies {
    /// Sends a role's connections through a proxy.
    pub fn set(&mut self, role: Role, proxy: Arc<Proxy>) {
        self.0[role as usize] = Some(proxy);
    }

    /// The way of a role's connections; none is straight to the node.
    #[must_use]
    pub const fn of(&self, role: Role) -> Option<&Arc<Proxy>> {
        self.0[role as usize].as_ref()
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(Role::ALL.map(|role| (role, self.of(role)))).finish()
    }
}

impl FromStr for Proxy {
    type Err = InvalidProxy;

    fn from_str(text: &str) -> Result<Self, InvalidProxy> {
        let url: Url = text.parse().map_err(|_| InvalidProxy::Address)?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(InvalidProxy::Address)?.to_owned();
        let port = url.port_or_known_default().ok_or(InvalidProxy::Address)?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidProxy::Address);
        }
        let credentials = Credentials::of(&url)?;
        let kind = match (url.scheme(), credentials) {
            ("socks5" | "socks5h", credentials) => Kind::Socks5(credentials),
            ("http", credentials) => Kind::Http(credentials),
            ("tor", None) => Kind::Tor,
            ("tor", Some(_)) => return Err(InvalidProxy::NotTaken),
            _ => return Err(InvalidProxy::Address),
        };
        Ok(Self { kind, host, port })
    }
}

/// Without what it asks for.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            Kind::Socks5(_) => "socks5",
            Kind::Tor => "tor",
            Kind::Http(_) => "http",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Credentials {
    fn of(url: &Url) -> Result<Option<Self>, InvalidProxy> {
        if url.username().is_empty() && url.password().is_none() {
            return Ok(None);
        }
        let decode = |text: &str| {
            let text = percent_decode_str(text).decode_utf8().map_err(|_| InvalidProxy::Credentials)?;
            if text.len() > MAX_CREDENTIAL_BYTES || text.contains(char::is_control) {
                return Err(InvalidProxy::Credentials);
            }
            Ok(text.into_owned())
        };
        let password = Zeroizing::new(decode(url.password().unwrap_or_default())?);
        Ok(Some(Self { user: decode(url.username())?, password }))
    }

    /// Basic authentication (RFC 7617).
    fn basic(&self) -> Result<HeaderValue, ProxyFailed> {
        let pair = Zeroizing::new(format!("{}:{}", self.user, *self.password));
        let value = Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes())));
        HeaderValue::from_str(&value).map_err(|error| ProxyFailed(error.to_string()))
    }
}

impl Proxy {
    /// Connects to the node through the proxy, whatever it is asked for.
    pub(super) fn connector(self: &Arc<Self>, node: &Url) -> Connector {
        let (this, node) = (Arc::clone(self), node.clone());
        let connect = move |_| {
            let (this, node) = (Arc::clone(&this), node.clone());
            async move {
                let connected = tokio::time::timeout(CONNECT_TIMEOUT, this.connect(&node)).await;
                let late = || ProxyFailed(format!("it did not connect within {} s", CONNECT_TIMEOUT.as_secs()));
                connected.unwrap_or_else(|_| Err(late()))
            }
        };
        BoxCloneService::new(service_fn(connect))
    }

    async fn connect(&self, node: &Url) -> Result<TokioIo<TcpStream>, ProxyFailed> {
        let failed = |error: &dyn fmt::Display| ProxyFailed(error.to_string());
        // With its port, which the connectors would take for that of https if it were left out.
        let (host, port) = (node.host_str().unwrap_or_default(), node.port_or_known_default().unwrap_or(80));
        let to: Uri = format!("http://{host}:{port}/").parse().map_err(|error| failed(&error))?;
        let through = Uri::try_from(format!("http://{}:{}/", self.host, self.port)).map_err(|error| failed(&error))?;
        let stream = match Host::parse(&self.host) {
            Ok(Host::Ipv4(address)) => TcpStream::connect((address, self.port)).await,
            Ok(Host::Ipv6(address)) => TcpStream::connect((address, self.port)).await,
            _ => TcpStream::connect((self.host.as_str(), self.port)).await,
        };
        let stream = stream.map_err(|error| failed(&error))?;
        stream.set_nodelay(true).map_err(|error| failed(&error))?;
        let mut stream = Some(TokioIo::new(stream));
        let once = service_fn(move |_: Uri| {
            ready(Ok::<_, Infallible>(stream.take().unwrap_or_else(|| unreachable!("it is asked for once"))))
        });
        match &self.kind {
            Kind::Socks5(credentials) => {
                let socks = SocksV5::new(through, once);
                let mut socks = match credentials {
                    None => socks,
                    Some(Credentials { user, password }) => socks.with_auth(user.clone(), password.to_string()),
                };
                socks.ready().await.map_err(|error| failed(&error))?.call(to).await.map_err(|error| failed(&error))
            }
            Kind::Tor => {
                let name = random::<16>().map_err(|error| failed(&error))?;
                let mut socks = SocksV5::new(through, once).with_auth(hex::encode(*name), "xmtp".to_owned());
                socks.ready().await.map_err(|error| failed(&error))?.call(to).await.map_err(|error| failed(&error))
            }
            Kind::Http(credentials) => {
                let tunnel = Tunnel::new(through, once);
                let mut tunnel = match credentials {
                    None => tunnel,
                    Some(credentials) => tunnel.with_auth(credentials.basic()?),
                };
                tunnel.ready().await.map_err(|error| failed(&error))?.call(to).await.map_err(|error| failed(&error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxy_is_shown_without_its_password() {
        for (text, shown) in [
            ("socks5://127.0.0.1:9050", "socks5://127.0.0.1:9050"),
            ("socks5h://proxy.example:1080/", "socks5://proxy.example:1080"),
            ("socks5://alice:se%3Acret@[::1]:1080", "socks5://[::1]:1080"),
            ("http://alice:secret@proxy.example:3128", "http://proxy.example:3128"),
            ("http://proxy.example", "http://proxy.example:80"),
            ("tor://127.0.0.1:9050", "tor://127.0.0.1:9050"),
        ] {
            let proxy: Proxy = text.parse().unwrap();
            assert_eq!(proxy.to_string(), shown);
            assert_eq!(format!("{proxy:?}"), shown);
        }
    }

    #[test]
    fn mistakes_are_named() {
        let long = "x".repeat(256);
        for (text, mistake) in [
            ("127.0.0.1:9050", InvalidProxy::Address),
            ("socks5://127.0.0.1", InvalidProxy::Address),
            ("socks4://127.0.0.1:9050", InvalidProxy::Address),
            ("https://proxy.example", InvalidProxy::Address),
            ("http://proxy.example/path", InvalidProxy::Address),
            (&format!("socks5://{long}@127.0.0.1:9050"), InvalidProxy::Credentials),
            ("socks5://alice:%0d%0a@127.0.0.1:9050", InvalidProxy::Credentials),
            ("tor://alice@127.0.0.1:9050", InvalidProxy::NotTaken),
        ] {
            assert_eq!(text.parse::<Proxy>().err(), Some(mistake), "{text}");
        }
    }

    #[test]
    fn credentials_are_decoded() {
        let Kind::Http(Some(credentials)) = "http://al%20ice:se%3Acret@proxy:1".parse::<Proxy>().unwrap().kind else {
            panic!("it has credentials")
        };
        assert_eq!((credentials.user.as_str(), credentials.password.as_str()), ("al ice", "se:cret"));
        // RFC 7617.
        let rfc = Credentials { user: "Aladdin".to_owned(), password: "open sesame".to_owned().into() };
        assert_eq!(rfc.basic().unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
