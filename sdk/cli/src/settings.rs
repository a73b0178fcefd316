//! Where things are, and who said so: flags before the environment before the configuration file before what is built in.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgMatches;
use clap::parser::ValueSource;
use directories::ProjectDirs;
use serde::Deserialize;
use url::Url;
use xmtp_sdk::client::DELAY;
use xmtp_sdk::transport::{Authorities, Proxies};

use crate::args::Global;
use crate::failure::Failure;
use crate::way::{self, Way};

const NODE: &str = "http://127.0.0.1:5050";
const RPC: &str = "http://127.0.0.1:8545";
const FILE: &str = "config.toml";

/// Who said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag,
    Environment,
    File(PathBuf),
    BuiltIn,
}

/// A value, and who said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said<T> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

/// What every command may need.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) network: Option<Said<PathBuf>>,
    pub(crate) node: Said<Url>,
    pub(crate) ca_file: Option<Said<PathBuf>>,
    pub(crate) proxy: Option<Said<Vec<Way>>>,
    pub(crate) delay: Said<Duration>,
    pub(crate) rpc: Said<Url>,
    pub(crate) ens_rpc: Option<Said<Url>>,
    pub(crate) proving_key: Option<Said<PathBuf>>,
    pub(crate) home: Said<PathBuf>,
    pub(crate) cache: PathBuf,
    pub(crate) keystore: Option<Said<PathBuf>>,
    pub(crate) password_file: Option<Said<PathBuf>>,
    /// Where a configuration file is looked for; the first one that is there counts, alone.
    pub(crate) files: Vec<PathBuf>,
}

/// The configuration file. Relative paths start at its folder.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    network: Option<PathBuf>,
    node: Option<Url>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    proxy: Vec<Way>,
    #[serde(default, with = "humantime_serde")]
    delay: Option<Duration>,
    rpc: Option<Url>,
    ens_rpc: Option<Url>,
    proving_key: Option<PathBuf>,
    keystore: Option<PathBuf>,
    password_file: Option<PathBuf>,
}

impl Settings {
    /// Reads the file, if there is one, and decides value by value.
    pub(crate) fn read(global: &Global, matches: &ArgMatches) -> Result<Self, Failure> {
        let system = ProjectDirs::from("", "", "xmtp");
        let given = |name: &str| match matches.value_source(name) {
            Some(ValueSource::CommandLine) => Origin::Flag,
            _ => Origin::Environment,
        };
        let home = match (&global.home, &system) {
            (Some(home), _) => Said { value: home.clone(), origin: given("home") },
            (None, Some(system)) => Said { value: system.data_dir().to_owned(), origin: Origin::BuiltIn },
            (None, None) => {
                return Err(Failure::usage("no home folder: name one with --home or $XMTP_HOME".to_owned()));
            }
        };
        let cache = system.as_ref().map_or_else(|| home.value.join("cache"), |system| system.cache_dir().to_owned());
        let files: Vec<_> = global
            .home
            .iter()
            .map(|home| home.join(FILE))
            .chain(system.iter().map(|system| system.config_dir().join(FILE)))
            .collect();
        let (file, path) = match files.iter().find(|path| path.exists()) {
            Some(path) => (File::read(path)?, path.clone()),
            None => (File::default(), PathBuf::new()),
        };
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        let from_file = || Origin::File(path.clone());
        let path_of = |name: &str, given_value: &Option<PathBuf>, in_file: Option<PathBuf>| {
            let given = given_value.clone().map(|value| Said { value, origin: given(name) });
            given.or_else(|| in_file.map(|value| Said { value: folder.join(value), origin: from_file() }))
        };
        let url_of = |name: &str, given_value: &Option<Url>, in_file: Option<Url>| {
            let given = given_value.clone().map(|value| Said { value, origin: given(name) });
            given.or_else(|| in_file.map(|value| Said { value, origin: from_file() }))
        };
        let or_built_in = |said: Option<Said<Url>>, url: &str| match said {
            Some(said) => Ok(said),
            None => match url.parse() {
                Ok(value) => Ok(Said { value, origin: Origin::BuiltIn }),
                Err(error) => Err(Failure::usage(format!("{url}: {error}"))),
            },
        };
        let proxy = match (&global.proxy[..], file.proxy) {
            ([], in_file) => Said { value: in_file, origin: from_file() },
            (given_value, _) => Said { value: given_value.to_vec(), origin: given("proxy") },
        };
        Ok(Self {
            delay: match (global.delay, file.delay) {
                (Some(value), _) => Said { value, origin: given("delay") },
                (None, Some(value)) => Said { value, origin: from_file() },
                (None, None) => Said { value: DELAY, origin: Origin::BuiltIn },
            },
            proxy: Some(proxy).filter(|said| !said.value.is_empty()),
            network: path_of("network", &global.network, file.network),
            node: or_built_in(url_of("node", &global.node, file.node), NODE)?,
            ca_file: path_of("ca_file", &global.ca_file, file.ca_file),
            rpc: or_built_in(url_of("rpc", &global.rpc, file.rpc), RPC)?,
            ens_rpc: url_of("ens_rpc", &global.ens_rpc, file.ens_rpc),
            proving_key: path_of("proving_key", &global.proving_key, file.proving_key),
            keystore: path_of("keystore", &global.wallet.keystore, file.keystore),
            password_file: path_of("password_file", &global.wallet.password_file, file.password_file),
            home,
            cache,
            files,
        })
    }
}

impl Settings {
    /// For each role its proxy, if it has one.
    pub(crate) fn proxies(&self) -> Proxies {
        way::proxies(self.proxy.iter().flat_map(|said| &said.value))
    }

    /// Who vouches for the node's name.
    pub(crate) fn authorities(&self) -> Result<Authorities, Failure> {
        Ok(self.ca_file.as_ref().map(|said| Authorities::read(&said.value)).transpose()?.unwrap_or_default())
    }
}

impl File {
    fn read(path: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(path).map_err(|error| Failure::config(format!("{}: {error}", path.display())))?;
        toml::from_str(&text).map_err(|error| Failure::config(format!("{}: {}", path.display(), error.message())))
    }
}

/// Whether a value says where it is from: as it is shown.
impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Environment => f.write_str("environment"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::BuiltIn => f.write_str("built in"),
        }
    }
}
