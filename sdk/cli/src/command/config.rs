//! `xmtp config`.

use std::fmt;

use serde::Serialize;
use url::Url;

use crate::failure::Failure;
use crate::output::{Output, Said};
use crate::settings::{self, Settings};

pub(super) fn show(origin: bool, settings: &Settings, output: &Output) -> Result<(), Failure> {
    output.say(&Shown::new(origin, settings))
}

#[derive(Serialize)]
struct Shown {
    settings: Vec<Setting>,
    /// The places of a configuration file; the first one that is there counts, alone.
    files: Vec<String>,
    #[serde(skip)]
    origin: bool,
}

#[derive(Serialize)]
struct Setting {
    name: &'static str,
    value: Option<String>,
    /// `flag`, `environment`, `built in`, or a file.
    origin: Option<String>,
}

impl Setting {
    fn new<T>(name: &'static str, said: Option<&settings::Said<T>>, shown: impl Fn(&T) -> String) -> Self {
        Self { name, value: said.map(|it| shown(&it.value)), origin: said.map(|it| it.origin.to_string()) }
    }
}

impl Shown {
    fn new(origin: bool, settings: &Settings) -> Self {
        let Settings {
            network,
            node,
            ca_file,
            proxy,
            delay,
            rpc,
            ens_rpc,
            proving_key,
            home,
            cache: _,
            keystore,
            password_file,
            files,
        } = settings;
        let path = |path: &std::path::PathBuf| path.display().to_string();
        Self {
            settings: vec![
                Setting::new("network", network.as_ref(), path),
                Setting::new("node", Some(node), Url::to_string),
                Setting::new("ca_file", ca_file.as_ref(), path),
                Setting::new("proxy", proxy.as_ref(), |ways| {
                    ways.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
                }),
                Setting::new("delay", Some(delay), |it| humantime::format_duration(*it).to_string()),
                Setting::new("rpc", Some(rpc), endpoint),
                Setting::new("ens_rpc", ens_rpc.as_ref(), endpoint),
                Setting::new("proving_key", proving_key.as_ref(), path),
                Setting::new("home", Some(home), path),
                Setting::new("keystore", keystore.as_ref(), path),
                Setting::new("password_file", password_file.as_ref(), path),
            ],
            files: files.iter().map(path).collect(),
            origin,
        }
    }
}

impl Said for Shown {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        for Setting { name, value, origin } in &self.settings {
            write!(f, "{name:<14} {}", value.as_deref().unwrap_or("-"))?;
            match (self.origin, origin) {
                (true, Some(origin)) => writeln!(f, "  ({origin})")?,
                _ => writeln!(f)?,
            }
        }
        if self.origin {
            for file in &self.files {
                writeln!(f, "configuration is looked for in {file}")?;
            }
        }
        Ok(())
    }
}

/// Such addresses often hold a key of their provider's.
pub(super) fn endpoint(url: &Url) -> String {
    let mut shown = url.clone();
    let bare = matches!(shown.path(), "" | "/") && shown.query().is_none() && shown.username().is_empty();
    if bare {
        return shown.to_string();
    }
    // Neither fails on an address that has a host.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_query(None);
    shown.set_path("/…");
    shown.to_string().replace("%E2%80%A6", "…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_keeps_its_providers_key_to_itself() {
        for (url, expected) in [
            ("http://127.0.0.1:8545", "http://127.0.0.1:8545/"),
            ("https://rpc.example/v3/5ec2e7", "https://rpc.example/…"),
            ("https://rpc.example/?key=5ec2e7", "https://rpc.example/…"),
            ("https://user:5ec2e7@rpc.example/", "https://rpc.example/…"),
        ] {
            assert_eq!(endpoint(&url.parse().unwrap()), expected);
        }
    }
}
