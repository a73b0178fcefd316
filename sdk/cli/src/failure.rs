//! Failures as people and programs read them: a code to compare, what happened, and what to do next.

use std::fmt;

use serde::ser::{Serialize, SerializeMap, Serializer};
use xmtp_contracts::LoadError;
use xmtp_proto::account::Account;
use xmtp_proto::refusal::Code;
use xmtp_proto::requirement::Requirement;
use xmtp_sdk::chain::{BuyError, ClaimError, StakeError};
use xmtp_sdk::client::{
    AskError, BuyStampsError, ConnectError, JoinError, NoIdentity, ProvingKeyError, PublishError, RegisterError,
    RestoreError, SendError, StakingError, TakeOverError,
};
use xmtp_sdk::connection::ConnectionError;
use xmtp_sdk::conversation::ConversationError;
use xmtp_sdk::ens::{EnsName, ResolveError};
use xmtp_sdk::franking::{FrankError, NoPass, Occasion};
use xmtp_sdk::identity::{IdentityError, NotVerified};
use xmtp_sdk::inbox::InboxError;
use xmtp_sdk::state::{BooksError, LettersError, MembershipsError, RememberError, StakesError, StateError};
use xmtp_sdk::stream::StreamError;
use xmtp_sdk::transport::{InvalidAuthorities, TransportError};
use xmtp_sdk::vault::VaultError;
use xmtp_sdk::wallet::WalletError;

/// What is left to whose pass was refused for its index or its secret.
const fn hint_of_pass(code: Code) -> Option<&'static str> {
    match code {
        Code::NullifierUsed => Some(
            "another client of this account used this stamp, or this index of a stake, a claim or the membership: does the node \
             keep no journal, or show several? use another node, for two letters on one lose the book's bond or the stake",
        ),
        Code::SecretClosed => Some(
            "buy another book, or lock another stake; a membership and claims count again when the quarter turns, or at once \
             under other keys: xmtp identity new --replace",
        ),
        _ => None,
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    code: &'static str,
    message: String,
    hint: Option<String>,
    status: u8,
}

impl Failure {
    /// What happened may quote a node or an endpoint, whose words must not steer the terminal.
    fn new(code: &'static str, error: &impl fmt::Display) -> Self {
        let message = error.to_string().replace(char::is_control, "\u{fffd}");
        Self { code, message, hint: None, status: 1 }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub(crate) fn usage(message: String) -> Self {
        Self { code: "usage", message, hint: Some("see xmtp --help".to_owned()), status: 2 }
    }

    pub(crate) fn wallet(message: String) -> Self {
        Self::new("wallet", &message).hint("give a keystore with --keystore, or the key in $XMTP_WALLET_KEY")
    }

    pub(crate) fn config(message: String) -> Self {
        Self::new("config", &message).hint("xmtp config show --origin says which files are looked for")
    }

    pub(crate) fn no_ens_rpc(name: &EnsName) -> Self {
        let message = format!("{name} is a name, and no endpoint to resolve it was given");
        Self::new("ens", &message)
            .hint("name one of Ethereum's mainnet with --ens-rpc or $XMTP_ENS_RPC, or use the address")
    }

    pub(crate) fn no_conversation(with: Account) -> Self {
        Self::new("no_conversation", &format!("there is no letter from {with}, and none to it"))
            .hint("xmtp send <account> <text> begins a conversation")
    }

    /// What happened, without code and hint.
    pub(crate) fn detail(self) -> String {
        self.message
    }

    pub(crate) fn output(message: String) -> Self {
        Self::new("output", &format!("cannot write to stdout: {message}"))
    }

    pub(crate) const fn exit_status(&self) -> u8 {
        self.status
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error [{}]: {}", self.code, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  next: {hint}"),
            None => Ok(()),
        }
    }
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Inner<'a> {
            code: &'a str,
            message: &'a str,
            hint: Option<&'a str>,
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("error", &Inner { code: self.code, message: &self.message, hint: self.hint.as_deref() })?;
        map.end()
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::new("deployment", &error).hint("name the network's deployment file with --network or $XMTP_NETWORK")
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Deployment { .. } => Self::new("deployment", &error),
            ConnectError::State(error) => error.into(),
        }
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Wallet(error) => error.into(),
            StateError::WrongKey => {
                Self::new("state", &error).hint("use the wallet that the state was made with, or another --home")
            }
            StateError::Damaged { .. } => Self::new("state", &error).hint("xmtp --home <new folder> identity restore"),
            other => Self::new("state", &other),
        }
    }
}

impl From<WalletError> for Failure {
    fn from(error: WalletError) -> Self {
        match error {
            WalletError::NotOffered { .. } => Self::new("not_offered", &error),
            other => Self::new("wallet", &other),
        }
    }
}

impl From<NoIdentity> for Failure {
    fn from(error: NoIdentity) -> Self {
        Self::new("no_identity", &error)
            .hint("xmtp identity new; or xmtp identity restore if the account has keys already")
    }
}

impl From<InvalidAuthorities> for Failure {
    fn from(error: InvalidAuthorities) -> Self {
        Self::new("certificate", &error).hint("name certificates of X.509, in PEM, with --ca-file or $XMTP_CA_FILE")
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        if let Some(code) = error.code() {
            return Self::new(code.as_str(), &error);
        }
        match error {
            TransportError::Address(_) => Self::new("bad_address", &error)
                .hint("name a node with --node, such as https://node.example or http://127.0.0.1:5050"),
            TransportError::Unreachable { .. } | TransportError::Silent { .. } => {
                Self::new("unreachable", &error).hint("is the node running? name another with --node or $XMTP_NODE")
            }
            TransportError::Certificate { .. } => Self::new("certificate", &error)
                .hint("a network with an authority of its own: name its certificate with --ca-file or $XMTP_CA_FILE"),
            TransportError::NoAuthorities => Self::new("certificate", &error)
                .hint("install this system's CA certificates, or name the authority with --ca-file or $XMTP_CA_FILE"),
            TransportError::Proxy { .. } => {
                Self::new("proxy", &error).hint("does the proxy run? name another with --proxy or $XMTP_PROXY")
            }
            TransportError::OtherNetwork { .. } => Self::new("other_network", &error),
            TransportError::OtherVerifyingKey { .. } => Self::new("other_verifying_key", &error),
            TransportError::Failed { .. } => Self::new("node_failed", &error).hint("try again later, or another node"),
            other => Self::new("bad_answer", &other).hint("do not use this node"),
        }
    }
}

impl From<RememberError> for Failure {
    fn from(error: RememberError) -> Self {
        match error {
            RememberError::State(error) => error.into(),
            other => Self::new("rolled_back", &other).hint("ask another node; write nothing to this account meanwhile"),
        }
    }
}

impl From<NotVerified> for Failure {
    fn from(error: NotVerified) -> Self {
        Self::new("not_verified", &error).hint("do not use this node")
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Wallet(error) => error.into(),
            other => Self::new("vault", &other),
        }
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Exists(_) => {
                Self::new("identity_exists", &error).hint("xmtp identity show; on a new machine: xmtp identity restore")
            }
            PublishError::NothingToReplace(_) => Self::new("no_such_inbox", &error).hint("xmtp identity new"),
            PublishError::Replaced(_) => {
                Self::new("keys_replaced", &error).hint("xmtp --home <new folder> identity restore")
            }
            PublishError::NoIdentity(error) => error.into(),
            PublishError::Join(error) => error.into(),
            PublishError::Refused { ref refusal, .. } => {
                Self::new(refusal.code().as_str(), &error).hint("run the same command again")
            }
            PublishError::Ask(error) => error.into(),
            PublishError::NotVerified(error) => error.into(),
            PublishError::Remember(error) => error.into(),
            PublishError::Identity(IdentityError::Wallet(error)) => error.into(),
            PublishError::Vault(error) => error.into(),
            PublishError::Transport(error) => error.into(),
            PublishError::State(error) => error.into(),
            PublishError::Identity(_) | PublishError::Malformed(_) | PublishError::Versions => {
                Self::new("malformed", &error)
            }
        }
    }
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::NoPass(error) => (*error).into(),
            JoinError::SpendLimit { needed, .. } => {
                Self::new("spend_limit", &error).hint(format!("allow it: xmtp identity new --max-price {needed}"))
            }
            JoinError::Pass(error) => (*error).into(),
        }
    }
}

impl From<RestoreError> for Failure {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::NothingPublished(_) => Self::new("no_such_inbox", &error).hint("xmtp identity new"),
            RestoreError::NoVault(_) => {
                Self::new("no_vault", &error).hint("run xmtp identity new again on the machine that made the keys")
            }
            RestoreError::OtherKeysHere(_) => Self::new("other_keys_here", &error).hint("choose another --home"),
            RestoreError::Malformed(_) => Self::new("vault", &error),
            RestoreError::NotVerified(error) => error.into(),
            RestoreError::Remember(error) => error.into(),
            RestoreError::Vault(error) => error.into(),
            RestoreError::Transport(error) => error.into(),
            RestoreError::State(error) => error.into(),
        }
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        match error {
            AskError::NoSuchInbox(_) => {
                Self::new("no_such_inbox", &error).hint("its owner must run xmtp identity new on this network first")
            }
            AskError::NotVerified(error) => error.into(),
            AskError::Remember(error) => error.into(),
            AskError::Transport(error) => error.into(),
            AskError::State(error) => error.into(),
        }
    }
}

impl From<BuyStampsError> for Failure {
    fn from(error: BuyStampsError) -> Self {
        match error {
            BuyStampsError::NoIdentity(error) => error.into(),
            BuyStampsError::NoRpc => Self::new("rpc", &error).hint("name the endpoint with --rpc or $XMTP_RPC"),
            BuyStampsError::Buy(error) => error.into(),
            BuyStampsError::Books(BooksError::State(error)) | BuyStampsError::State(error) => error.into(),
            BuyStampsError::Books(error) => Self::new("state", &error),
        }
    }
}

impl From<StakingError> for Failure {
    fn from(error: StakingError) -> Self {
        match error {
            StakingError::NoIdentity(error) => error.into(),
            StakingError::NoRpc => Self::new("rpc", &error).hint("name the endpoint with --rpc or $XMTP_RPC"),
            StakingError::Chain(error) => error.into(),
            StakingError::Journal(error) => error.into(),
            StakingError::Stakes(error) => error.into(),
            StakingError::State(error) => error.into(),
        }
    }
}

impl From<StakesError> for Failure {
    fn from(error: StakesError) -> Self {
        match error {
            StakesError::State(error) => error.into(),
            StakesError::Unknown(_) | StakesError::Here(_) => {
                Self::new("no_such_stake", &error).hint("xmtp stake list")
            }
            StakesError::UsedUp(_) => Self::new("quota_exhausted", &error),
            other => Self::new("state", &other),
        }
    }
}

impl From<StakeError> for Failure {
    fn from(error: StakeError) -> Self {
        match error {
            StakeError::Chain(error) => (*error).into(),
            StakeError::NotOffered => Self::new("not_offered", &error),
            StakeError::NoSuchTier(_) => Self::new("no_such_tier", &error).hint("xmtp stake list"),
            StakeError::NotStaker => Self::new("not_staker", &error),
            StakeError::Leaving(_) | StakeError::TooEarly(_) => Self::new("too_early", &error),
            StakeError::NoExit => Self::new("no_exit", &error).hint("xmtp stake exit <stake>"),
            StakeError::Gone | StakeError::Unknown => Self::new("no_such_stake", &error).hint("xmtp stake list"),
        }
    }
}

impl From<RegisterError> for Failure {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::NoIdentity(error) => error.into(),
            RegisterError::NoRpc => Self::new("rpc", &error).hint("name the endpoint with --rpc or $XMTP_RPC"),
            RegisterError::NoSuchClaim(_) => Self::new("not_offered", &error).hint("xmtp claims"),
            RegisterError::WhichToken(_) => Self::new("which_token", &error).hint("--token <ID>"),
            RegisterError::Chain(error) => error.into(),
            RegisterError::State(error) => error.into(),
        }
    }
}

impl From<ClaimError> for Failure {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Chain(error) => (*error).into(),
            ClaimError::NotOffered => Self::new("not_offered", &error),
            ClaimError::Undeclared => Self::new("not_offered", &error).hint("xmtp claims declare <claim>"),
            ClaimError::Declared => Self::new("declared", &error),
            ClaimError::Terms(_) => Self::new("deployment", &error).hint("mend offeredClaims in the network's file"),
            ClaimError::Issued => Self::new("issued", &error).hint("xmtp claims"),
            ClaimError::WrongToken | ClaimError::NotHolder => Self::new("not_holder", &error),
            ClaimError::RegisteredTwice => Self::new("registered_twice", &error),
            ClaimError::Registered => Self::new("registered", &error).hint("xmtp claims"),
            ClaimError::WrongGeneration(_) => Self::new("wrong_generation", &error).hint("xmtp sync"),
            ClaimError::NoRegistration | ClaimError::StillHeld => Self::new("nothing_to_prune", &error),
        }
    }
}

impl From<TakeOverError> for Failure {
    fn from(error: TakeOverError) -> Self {
        match error {
            TakeOverError::NoIdentity(error) => error.into(),
            TakeOverError::Unknown(_) | TakeOverError::Own(_) => {
                Self::new("no_such_book", &error).hint("xmtp stamps list")
            }
            TakeOverError::Journal(error) => error.into(),
            TakeOverError::State(error) => error.into(),
        }
    }
}

impl From<BuyError> for Failure {
    fn from(error: BuyError) -> Self {
        match error {
            BuyError::Balance { missing, wallet, .. } => {
                Self::new("insufficient_funds", &error).hint(format!("send {missing} to {wallet}, or buy fewer stamps"))
            }
            BuyError::Gas { wallet, .. } => {
                Self::new("insufficient_gas", &error).hint(format!("send some of the chain's coin to {wallet}"))
            }
            BuyError::Count => Self::new("malformed", &error),
            BuyError::Deployment(_) => {
                Self::new("deployment", &error).hint("do --network and --rpc name the same chain?")
            }
            BuyError::CommitmentUsed => Self::new("commitment_used", &error).hint("run the same command again"),
            BuyError::Contract(_) => Self::new("contract", &error),
            BuyError::Reverted(_) => Self::new("transaction_failed", &error).hint("run the same command again"),
            BuyError::Pending(_) => Self::new("transaction_pending", &error).hint("xmtp stamps list"),
            BuyError::Wallet(_) => Self::new("wallet", &error),
            BuyError::Rpc(_) => Self::new("rpc", &error)
                .hint("name another endpoint with --rpc; running the same command again never pays twice"),
        }
    }
}

impl From<ConnectionError> for Failure {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::NoRequest(_) => {
                Self::new("no_conversation", &error).hint("xmtp connections shows who has written")
            }
            ConnectionError::NotConnected(_) => {
                Self::new("no_connection", &error).hint("xmtp connections shows who may write")
            }
            ConnectionError::Full { .. } => Self::new("policy_full", &error)
                .hint("wait until one that was revoked is over, or attest new keys: xmtp identity new --replace"),
            ConnectionError::Life | ConnectionError::Terms(_) => Self::new("usage", &error),
            ConnectionError::Content(_) => Self::new("malformed", &error),
            ConnectionError::Conversation(error) => error.into(),
            ConnectionError::Inbox(error) => error.into(),
            ConnectionError::Publish(error) => error.into(),
            ConnectionError::State(error) => error.into(),
        }
    }
}

impl From<NoPass> for Failure {
    fn from(error: NoPass) -> Self {
        let failure = Self::new("no_pass", &error);
        let lock = error.locks.iter().map(|(tier, _)| format!("xmtp stake lock --tier {tier}"));
        let stamps = error.offer.iter().flat_map(|(offer, _)| &offer.stamps);
        let buy = stamps
            .map(|(denomination, count)| format!("xmtp stamps buy --denomination {denomination} --count {count}"));
        let commands: Vec<_> = lock.chain(buy).collect();
        // The rest is to be had for no money.
        let for_money = (!commands.is_empty()).then(|| commands.join("; "));
        match error.occasion {
            Occasion::Letter => Self { hint: for_money, ..failure },
            Occasion::Joining => {
                let claims = error.demand.asks(|it| matches!(it, Requirement::Claim(_)));
                let claims = claims.then(|| "xmtp claims shows which claims would do".to_owned());
                let ways: Vec<_> = for_money.into_iter().chain(claims).collect();
                let hint = (!ways.is_empty()).then(|| format!("{}; then xmtp identity new again", ways.join(", or ")));
                Self { hint, ..failure }
            }
        }
    }
}

impl From<ProvingKeyError> for Failure {
    fn from(error: ProvingKeyError) -> Self {
        match error {
            ProvingKeyError::NotOffered(_) => {
                Self::new("not_offered", &error).hint("name the file with --proving-key or $XMTP_PROVING_KEY")
            }
            other => Self::new("proving_key", &other),
        }
    }
}

impl From<FrankError> for Failure {
    fn from(error: FrankError) -> Self {
        match error {
            FrankError::NotYetRooted => {
                Self::new("root_unknown", &error).hint("run the same command again in a minute")
            }
            FrankError::WrongBucket | FrankError::NotIssued(_) => {
                Self::new("bad_answer", &error).hint("do not use this node")
            }
            FrankError::Transport(error) => error.into(),
            other => Self::new("proof", &other),
        }
    }
}

impl From<LettersError> for Failure {
    fn from(error: LettersError) -> Self {
        match error {
            LettersError::State(error) | LettersError::Books(BooksError::State(error)) => error.into(),
            other => Self::new("state", &other),
        }
    }
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Account(_) => Self::new("usage", &error),
            SendError::NoIdentity(error) => error.into(),
            SendError::Ask(error) => error.into(),
            SendError::NoPass(error) => (*error).into(),
            SendError::SpendLimit { needed, times, .. } => Self::new("spend_limit", &error).hint(match times {
                1 => format!("allow it with --max-price {needed}, or buy stamps of a smaller denomination"),
                _ => format!("allow it with --max-price {needed}, or send it when the node is less busy"),
            }),
            SendError::UsedUp => {
                Self::new("quota_exhausted", &error).hint("xmtp requirements <account> shows what else would do")
            }
            SendError::SmallGroup { .. } => Self::new("small_group", &error)
                .hint("spend all the same with --from-small-groups, or wait until more are bought"),
            SendError::Reservation(error) => error.into(),
            SendError::ProvingKey(error) => error.into(),
            SendError::Frank(error) => error.into(),
            SendError::Refused(ref refusal) => Self::new(refusal.code().as_str(), &error)
                .hint(hint_of_pass(refusal.code()).unwrap_or("xmtp requirements <account> shows what is asked")),
            SendError::Unknown(ref source) => {
                let code = source.code().map_or("unreachable", |code| code.as_str());
                Self::new(code, &error).hint("run the same command again: the letter goes out once")
            }
            SendError::Transport(error) => error.into(),
            SendError::Letters(error) => error.into(),
            SendError::Stakes(error) => error.into(),
            SendError::State(error) => error.into(),
            SendError::Content(_) | SendError::Seal(_) | SendError::Malformed(_) | SendError::NoRandomness(_) => {
                Self::new("malformed", &error)
            }
        }
    }
}

impl From<ConversationError> for Failure {
    fn from(error: ConversationError) -> Self {
        match error {
            ConversationError::NoIdentity(error) => error.into(),
            ConversationError::NoMembers => Self::new("not_offered", &error).hint("use another node"),
            ConversationError::GenerationOver(_) => {
                Self::new("generation_over", &error).hint("xmtp sync has the wallet attest the keys for this quarter")
            }
            ConversationError::NoSlot => Self::new("no_slot", &error),
            ConversationError::NotGranted => {
                Self::new("not_granted", &error).hint("run the same command again, or name another node with --node")
            }
            ConversationError::Behind => Self::new("behind", &error).hint("run the same command again"),
            ConversationError::UsedUp => Self::new("quota_exhausted", &error),
            ConversationError::Memberships(MembershipsError::State(error)) | ConversationError::State(error) => {
                error.into()
            }
            ConversationError::Memberships(_) | ConversationError::Unreadable(_) => Self::new("state", &error),
            ConversationError::ProvingKey(error) => error.into(),
            ConversationError::Frank(FrankError::NotYetRooted) => Self::new("root_unknown", &error)
                .hint("the node has not taken this account among its members yet: run the same command in a minute"),
            ConversationError::Frank(error) => error.into(),
            ConversationError::Refused(ref refusal) => {
                let failure = Self::new(refusal.code().as_str(), &error);
                match hint_of_pass(refusal.code()) {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                }
            }
            ConversationError::Unknown(ref source) => {
                let code = source.code().map_or("unreachable", |code| code.as_str());
                Self::new(code, &error).hint("run the same command again: the message goes out once")
            }
            ConversationError::Transport(error) => error.into(),
            ConversationError::Content(_) | ConversationError::Seal(_) | ConversationError::Malformed(_) => {
                Self::new("malformed", &error)
            }
        }
    }
}

impl From<InboxError> for Failure {
    fn from(error: InboxError) -> Self {
        match error {
            InboxError::NoIdentity(error) => error.into(),
            InboxError::Transport(error) => error.into(),
            InboxError::State(error) => error.into(),
        }
    }
}

impl From<ResolveError> for Failure {
    fn from(error: ResolveError) -> Self {
        Self::new("ens", &error).hint("check the name and --ens-rpc, or use the address")
    }
}

impl From<StreamError> for Failure {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Connect(error) => error.into(),
            StreamError::NoIdentity(error) => error.into(),
            StreamError::Transport(error) => error.into(),
            StreamError::OtherOperator { .. } => Self::new("other_operator", &error)
                .hint("start again: xmtp watch --all reads the new log from its beginning"),
            StreamError::State(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::U256;
    use xmtp_proto::field::FieldElement;
    use xmtp_proto::refusal::Refusal;
    use xmtp_sdk::chain::Amount;
    use xmtp_sdk::franking::Demand;

    use super::*;

    #[test]
    fn nodes_words_do_not_steer_the_terminal() {
        let failure = Failure::new("node_failed", &"\u{1b}[2Kfine\n  next: \u{9b}1m");
        assert_eq!(failure.to_string(), "error [node_failed]: \u{fffd}[2Kfine\u{fffd}  next: \u{fffd}1m");
    }

    #[test]
    fn whose_index_or_secret_is_used_up_is_told_what_to_do_whatever_it_was_of() {
        let nullifier = FieldElement::ZERO.into();
        for refusal in [Refusal::NullifierUsed { nullifier }, Refusal::SecretClosed] {
            for failure in
                [Failure::from(SendError::Refused(refusal.clone())), ConversationError::Refused(refusal.clone()).into()]
            {
                assert_eq!(failure.code, refusal.code().as_str());
                for word in ["book", "stake", "membership", "claim"] {
                    assert!(failure.hint.as_ref().unwrap().contains(word), "{word}: {failure}");
                }
            }
        }
    }

    #[test]
    fn who_has_no_pass_is_told_what_to_lock_or_to_buy_or_nothing_if_it_is_not_for_money() {
        let no_pass = |occasion, asked: &str, locks: &[(u32, Amount)]| {
            let demand = Demand::new(&asked.parse().unwrap(), None, 1);
            let offer = demand.offer().map(|offer| (offer, Amount(U256::ZERO)));
            Failure::from(NoPass { occasion, demand, offer, locks: locks.to_vec() }).hint
        };
        let hint = |asked: &str, locks: &[_]| no_pass(Occasion::Letter, asked, locks);
        let lock = [(2, Amount(U256::from(5)))];
        assert_eq!(hint("stake(any)", &lock).as_deref(), Some("xmtp stake lock --tier 2"));
        assert_eq!(hint("stamp(5)", &[]).as_deref(), Some("xmtp stamps buy --denomination 5 --count 1"));
        assert_eq!(
            hint("all(stake(2), stamp(1))", &lock).as_deref(),
            Some("xmtp stake lock --tier 2; xmtp stamps buy --denomination 1 --count 1")
        );
        assert_eq!(hint("connection", &[]), None);
        assert_eq!(hint("any()", &[]), None);

        let hint = |asked: &str| no_pass(Occasion::Joining, asked, &[]);
        assert_eq!(
            hint("any(claim(any), stake(any), stamp(1))").as_deref(),
            Some(
                "xmtp stamps buy --denomination 1 --count 1, or xmtp claims shows which claims would do; then xmtp identity \
                 new again"
            )
        );
        assert_eq!(
            hint("claim(any)").as_deref(),
            Some("xmtp claims shows which claims would do; then xmtp identity new again")
        );
        assert_eq!(hint("any()"), None);
    }

    #[test]
    fn failure_is_one_object_with_code_message_and_hint() {
        let failure = Failure::new("spend_limit", &"too dear").hint("allow it");
        let json = serde_json::to_string(&failure).unwrap();
        assert_eq!(json, r#"{"error":{"code":"spend_limit","message":"too dear","hint":"allow it"}}"#);
        assert_eq!(failure.to_string(), "error [spend_limit]: too dear\n  next: allow it");
    }
}
