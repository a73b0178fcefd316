//! The contracts as Rust sees them: bindings made from the interfaces' own text.

#[allow(missing_docs, unreachable_pub, clippy::use_self, clippy::too_many_arguments)]
mod bindings {
    pub mod postage {
        alloy::sol! {
            #![sol(rpc, all_derives)]
            "src/interfaces/IPostage.sol"
        }
    }
    pub mod token {
        alloy::sol! {
            #![sol(rpc, all_derives)]
            "src/interfaces/IXmtpToken.sol"
        }
    }
}

pub use bindings::postage::IPostage;
pub use bindings::token::IXmtpToken;
