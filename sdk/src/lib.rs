//! Mail between blockchain accounts: what an application needs to write to any of them, and to be written to.
//!
//! ```no_run
//! # use xmtp_sdk::client::Client;
//! # async fn example(
//! #     wallet: alloy::signers::local::PrivateKeySigner, deployment: xmtp_contracts::Deployment, home: std::path::PathBuf,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder(wallet, deployment, home).connect().await?;
//! client.create_identity().await?;
//! client.send("0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045", "Hello world").await?;
//! # Ok(())
//! # }
//! ```
//!
//! Encryption, key lookup, the recipient's conditions and paying for them are the client's job. What it cannot meet it says,
//! with the price: see [`client::SendError`].
//!
//! | module | holds |
//! |---|---|
//! | [`client`], [`conversation`], [`connection`], [`inbox`], [`stream`] | what an application touches |
//! | [`identity`], [`keys`], [`wallet`], [`vault`] | wallet signature → keys → public bundle and sealed vault |
//! | [`invite`], [`message`], [`content`], `x3dh`, `seal` | letter → ciphertext, and back |
//! | [`journal`] | what an account's installations share |
//! | [`franking`], [`membership`] | which stamps to attach, and how passes are made |
//! | [`chain`] | buying books of stamps |
//! | [`ens`] | names in place of addresses |
//! | [`transport`] | the way to a node: the only module that knows how bytes travel |
//! | [`state`] | what is remembered on this machine |

pub mod chain;
pub mod claims;
pub mod client;
pub mod connection;
pub mod content;
pub mod conversation;
pub mod ens;
pub mod franking;
pub mod identity;
pub mod inbox;
pub mod invite;
pub mod journal;
pub mod keys;
mod layout;
pub mod membership;
pub mod message;
mod seal;
pub mod state;
pub mod stream;
#[cfg(test)]
mod testing;
pub mod transport;
pub mod vault;
pub mod wallet;
mod x3dh;
