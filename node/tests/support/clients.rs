//! Clients of a world's node, and what they pay with.

use std::fs;
use std::path::Path;
use std::time::Duration;

use alloy::primitives::{Address, U256};
use alloy::signers::local::PrivateKeySigner;
use tempfile::TempDir;
use url::Url;
use xmtp_contracts::IXmtpToken;
use xmtp_sdk::client::{Builder, Client};

use super::World;

impl World {
    /// One of the chain's funded accounts; the first is the deployer's.
    pub(crate) fn wallet(&self, number: usize) -> PrivateKeySigner {
        PrivateKeySigner::from_slice(&self.anvil.keys()[number].to_bytes()).unwrap()
    }

    /// Where the node listens.
    pub(crate) fn node_url(&self) -> Url {
        format!("http://{}", self.node.as_ref().unwrap().address()).parse().unwrap()
    }

    /// A client of the node's for that account, which does not wait before it writes what nobody is to see together.
    pub(crate) fn builder(&self, number: usize, home: &Path) -> Builder {
        self.builder_for(self.wallet(number), home)
    }

    /// As [`Self::builder`], with a wallet of the test's.
    pub(crate) fn builder_for(&self, wallet: PrivateKeySigner, home: &Path) -> Builder {
        Client::builder(wallet, self.deployment.clone(), home.to_owned())
            .node(self.node_url())
            .rpc(self.anvil.endpoint_url())
            .cache(env!("CARGO_TARGET_TMPDIR").into())
            .delay(Duration::ZERO)
    }

    /// Gives them a hundred $XMTP.
    pub(crate) async fn fund(&self, account: Address) {
        let token = IXmtpToken::new(self.deployment.token, &self.provider);
        let amount = U256::from(10).pow(U256::from(20));
        token.transfer(account, amount).send().await.unwrap().get_receipt().await.unwrap();
    }
}

/// A client's folder, copied as a backup does.
pub(crate) fn copy_of(home: &Path) -> TempDir {
    fn copy(from: &Path, to: &Path) {
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let to = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                fs::create_dir(&to).unwrap();
                fs::set_permissions(&to, entry.metadata().unwrap().permissions()).unwrap();
                copy(&entry.path(), &to);
            } else {
                fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let to = TempDir::new().unwrap();
    copy(home, to.path());
    to
}
