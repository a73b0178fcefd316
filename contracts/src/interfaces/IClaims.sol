// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title Claims: what an account can prove about the chain, and where the proofs' roots come from
/// @notice A *claim* is a condition (owns a token of this collection, was active before that day, …), who vouches for
/// whom it holds of, and how many envelopes a day it is good for. Its id is the hash of all that, so whoever names an id
/// has named its terms, and nobody can change them. Anybody may declare one (docs/protocol.md, "Requirements and
/// policies", "Contracts"; litepaper 10.3.1).
///
/// There are two kinds, told apart by whether there are issuers:
/// - *issued*: the issuers make a *snapshot*, the tree of the registered accounts that satisfy the condition at a block,
///   and `anchor` takes its roots if enough of them signed it. Nodes admit proofs under the present and the previous one.
/// - *registered*: for ERC-721 collections on this chain there is no need to trust anybody. The holder of a token
///   registers a commitment of its own, the contract asks the collection; and when the token has moved, anybody may prune
///   the entry. Followers append the leaf of every `Registered`, remove that of every `Left`, in the order of the events,
///   and check themselves against the group's `chain`.
///
/// Commitments are renewed by *generation*, a span of 7,889,400 seconds (a quarter of a year), so every generation of a
/// claim is a group of its own.
///
/// @dev What this relies on: nothing, for money: none ever comes here. A snapshot is as true as its issuers; anybody can
/// compute it again and expose a false one, and this contract cannot. A registered claim is as true as its collection: one
/// that lies about owners fills its own group as it likes, and no other. It is immutable and has no owner.
interface IClaims {
    /* TYPES */

    /// @notice What a claim is about. The value is the byte that is hashed.
    enum Kind {
        /// @dev Nothing; refused.
        None,
        /// @dev Owns a token, any, of the ERC-721 collection `subject`.
        Erc721,
        /// @dev Owns the token `tokenId` of the ERC-721 collection `subject`.
        Erc721Token,
        /// @dev Owns at least `amount` of the token `tokenId` of the ERC-1155 contract `subject`.
        Erc1155,
        /// @dev Owns at least `amount`, in the token's smallest unit, of the ERC-20 token `subject`.
        Erc20,
        /// @dev Owns at least `amount` wei of the chain's native coin.
        Native,
        /// @dev Was paid by the account `subject`: that one sent a transaction itself which moved native coin, or one of `tokens`,
        /// above zero to it. What others send to `subject` counts for nothing.
        Counterparty,
        /// @dev Its nonce was above zero before the Unix time `before`.
        Active
    }

    /// @notice The condition. A field that a kind does not speak of is zero, or empty, so that a condition has one form.
    struct Spec {
        Kind kind;
        /// @dev The chain that the condition is about (EIP-155); not zero.
        uint64 chainId;
        address subject;
        uint256 tokenId;
        uint256 amount;
        uint64 before;
        /// @dev At most 32, ascending.
        address[] tokens;
    }

    /// @notice A condition with those who vouch for it.
    struct Claim {
        Spec spec;
        /// @dev At most 16, ascending. None if the claim is registered here.
        address[] issuers;
        /// @dev How many of them must sign a snapshot: 1 to all. Zero if there are none.
        uint8 threshold;
        /// @dev Envelopes a day, the limit in every leaf: a multiple of 16, at most 1,024.
        uint32 limit;
    }

    /// @notice Whom a claim holds of, at a block of its chain.
    struct Snapshot {
        /// @dev Whose commitments are in the tree: Unix seconds / 7,889,400, rounded down. The present or the next one.
        uint32 generation;
        /// @dev The block of the claim's chain that the condition was looked at.
        uint64 blockNumber;
        bytes32 blockHash;
        /// @dev What the registered accounts were read from: `keccak256` over (operator id 32 || cursor u64) of every contact
        /// log, ascending by operator.
        bytes32 contacts;
        /// @dev Leaves in all volumes.
        uint32 leaves;
        /// @dev The root of every volume of 2^21 leaves, at most 16, each below the field's modulus.
        uint256[] roots;
    }

    /// @notice A snapshot as the chain remembers it.
    struct Anchor {
        uint32 generation;
        uint64 blockNumber;
        /// @dev What the issuers signed; it names all of the snapshot.
        bytes32 digest;
    }

    /// @notice What is registered for a token in one generation.
    struct Registration {
        /// @dev Who held the token and registered. Zero if nobody did, or the entry was pruned.
        address holder;
        /// @dev Its number within the group, from 0: volume = leaf >> 21, position = leaf & (2^21 - 1).
        uint32 leaf;
        /// @dev How often the token was registered in this generation, whoever held it: 2 is the most.
        uint8 times;
        uint256 commitment;
    }

    /// @notice The state of a group of registered commitments. The mapping of groups is at slot 0 and `chain` in its first
    /// word, so that a follower needs one storage proof, of the word at `keccak256(group || 0 u256)`.
    struct Group {
        /// @dev Keccak chain over the operations on the leaf log, from zero:
        /// `keccak256(chain || kind u8 || commitment u256 || limit u32)`, kind 1 = insert, 2 = exit.
        bytes32 chain;
        /// @dev Leaves appended, those that left included: the number of the next leaf.
        uint32 leaves;
    }

    /* EVENTS */

    /// @notice A claim was declared. Emitted once per claim; its terms are these for ever.
    event Declared(bytes32 indexed claim, Claim terms);

    /// @notice Enough issuers of `claim` signed `snapshot`, whose roots are those of `group`; what was the present
    /// snapshot is the previous one now.
    event Anchored(bytes32 indexed claim, bytes32 indexed group, Snapshot snapshot);

    /// @notice `holder`, who owns `tokenId`, registered: its leaf (commitment, limit) was appended to `group` as number
    /// `volume` * 2^21 + `position`.
    event Registered(
        bytes32 indexed group,
        bytes32 indexed claim,
        address indexed holder,
        uint256 tokenId,
        uint256 commitment,
        uint32 volume,
        uint32 position,
        uint32 limit
    );

    /// @notice The entry of `holder` for `tokenId` was replaced or pruned: its leaf leaves the tree. `limit` is that in the
    /// leaf, as in `Registered`.
    event Left(
        bytes32 indexed group,
        bytes32 indexed claim,
        address indexed holder,
        uint256 tokenId,
        uint256 commitment,
        uint32 volume,
        uint32 position,
        uint32 limit
    );

    /* ERRORS */

    /// @notice At deployment: `Postage` has no code.
    error InvalidParameters();

    /// @notice The condition has no kind or no chain, lacks what its kind speaks of, has what it does not speak of, or
    /// its tokens are too many or not ascending. The caller's to mend.
    error InvalidSpec();

    /// @notice The issuers are too many or not ascending, the threshold is none of 1 to their number; or there are none,
    /// and the condition is not about an ERC-721 collection on this chain, so that nobody could vouch for it. The caller's
    /// to mend.
    error InvalidIssuers();

    /// @notice The limit is zero, above 1,024, or no multiple of 16. The caller's to mend.
    error InvalidLimit();

    /// @notice This very claim was declared before. Nobody's fault; nothing to do.
    error AlreadyDeclared();

    /// @notice No claim with this id was declared. The caller's to mend: declare it first.
    error UnknownClaim();

    /// @notice The claim has issuers: nobody registers, they sign.
    error NotRegistered();

    /// @notice The claim has no issuers: nobody signs, holders register.
    error NotIssued();

    /// @notice A generation is the present one, or the next. Whoever made this was too early, or too slow.
    error WrongGeneration(uint32 current);

    /// @notice The snapshot's roots are too many, too few for its leaves, or not below the field's modulus. The issuers' to
    /// mend.
    error InvalidRoots();

    /// @notice The present snapshot is of this block, or of a later generation. Nobody's fault: another was faster.
    error NotNewer(uint64 blockNumber);

    /// @notice The threshold is higher. The caller's to mend: collect more signatures.
    error TooFewSignatures(uint256 threshold);

    /// @notice A signature is by `signer`, which is no issuer, or not in the order of the issuers, or signed twice. A
    /// signature over anything else looks like this too. The caller's to mend.
    error NotIssuer(address signer);

    /// @notice The claim is about one token, and that is another. The caller's to mend.
    error WrongToken();

    /// @notice The commitment is zero or not below the field's modulus. The caller's to mend.
    error InvalidCommitment();

    /// @notice The commitment is in the group already. The caller must derive another secret, or has registered before.
    error CommitmentUsed();

    /// @notice The collection does not say that the caller owns the token.
    error NotHolder();

    /// @notice The token was registered twice in this generation. Wait for the next.
    error RegisteredTwice();

    /// @notice There is no entry for this token in this generation.
    error NoRegistration();

    /// @notice The collection says that the token is still whose the entry is. Nothing to prune.
    error StillHeld();

    /// @notice Less gas was sent than the collection may use to answer, and then its silence would mean nothing. The
    /// caller's to mend: send 250,000 at least.
    error TooLittleGas();

    /* CLAIMS */

    /// @notice Declares a claim, for anybody to use.
    /// @dev Reverts with `InvalidSpec`, `InvalidIssuers`, `InvalidLimit`, `AlreadyDeclared`.
    /// Warning: nobody looks at issuers and collections. Before you name a claim, look whom you trust.
    /// @return id Its id: see `claimId`.
    function declare(Claim memory terms) external returns (bytes32 id);

    /// @notice Takes the snapshot of an issued claim, if as many issuers as its threshold signed it. Anybody may call.
    /// @dev Reverts with `UnknownClaim`, `NotIssued`, `TooFewSignatures`, `WrongGeneration`, `InvalidRoots`, `NotNewer`,
    /// `NotIssuer`, or as OpenZeppelin's `ECDSA` does. Issuers sign with keys of their own; contracts that answer for
    /// signatures (ERC-1271) are none, because an answer that may change tomorrow is no evidence of what was signed.
    /// Warning: issuers who agree can lock a claim for good with a block number that never comes. Their claim is theirs to
    /// ruin; declare another.
    /// @param signatures Of 65 bytes each, over `snapshotDigest`, in the order of the issuers.
    function anchor(bytes32 claim, Snapshot calldata snapshot, bytes[] calldata signatures) external;

    /// @notice Registers `commitment` for the caller's token in a registered claim. An entry that the token has already, the
    /// caller's or a former owner's, leaves the tree. A token is registered twice in a generation at most, whoever holds it:
    /// else who moves it to and fro would get a new pseudonym and a new day's limit each time.
    /// @dev Reverts with `UnknownClaim`, `NotRegistered`, `WrongToken`, `WrongGeneration`, `InvalidCommitment`,
    /// `RegisteredTwice`, `CommitmentUsed`, `NotHolder`, `TooLittleGas`.
    /// Warning: who buys a token that was registered twice in this generation waits for the next. Who registers another's
    /// commitment before they do gives them a leaf, until the token is moved and the entry pruned; then the commitment may
    /// be registered again.
    /// @param generation The present one or the next: what the commitment was derived for.
    /// @param commitment Poseidon hash (circomlib, BN254, one input) of the secret: not zero, below the field's modulus, not
    /// in the group.
    function register(bytes32 claim, uint32 generation, uint256 tokenId, uint256 commitment) external;

    /// @notice Removes the entry of a token that its holder has no more, be it moved or burned. Anybody may call.
    /// @dev Reverts with `UnknownClaim`, `NotRegistered`, `NoRegistration`, `StillHeld`, `TooLittleGas`. A collection that
    /// does not answer within 100,000 gas, or answers nonsense, says that nobody holds the token.
    function prune(bytes32 claim, uint32 generation, uint256 tokenId) external;

    /* VIEWS */

    /// @notice The `Postage` of the network that this belongs to.
    function POSTAGE() external view returns (address);

    /// @notice The id of the network: that of `POSTAGE`.
    function networkId() external view returns (bytes32);

    /// @notice The present generation: Unix seconds / 7,889,400, rounded down.
    function currentGeneration() external view returns (uint32);

    /// @notice The id of a claim: `keccak256("xmtp/claim/1" || networkId || kind u8 || chainId u64 || subject, left-padded
    /// to 32 || tokenId u256 || amount u256 || before u64 || tokens || issuers || threshold u8 || limit u32)`, where a list
    /// is its length u8 and its addresses, each left-padded to 32.
    /// @dev Says nothing about whether it was or could be declared.
    function claimId(Claim memory terms) external view returns (bytes32);

    /// @notice The id of a claim's group: `keccak256("xmtp/group/1" || networkId || 3 u8 || claim || 0 u32 || generation
    /// u32)`.
    function groupId(bytes32 claim, uint32 generation) external view returns (bytes32);

    /// @notice What issuers sign: the EIP-712 hash of `Snapshot(bytes32 claim,uint32 generation,uint64 blockNumber,bytes32
    /// blockHash,bytes32 contacts,uint32 leaves,uint256[] roots)`, in the domain of the name `xmtp/sig/snapshot/1`, the
    /// version `1`, this chain and this contract.
    function snapshotDigest(bytes32 claim, Snapshot calldata snapshot) external view returns (bytes32);

    /// @notice The terms of a claim; all zero if it was not declared.
    function claimOf(bytes32 claim) external view returns (Claim memory);

    /// @notice The present and the previous snapshot of an issued claim; all zero where there is none.
    function anchorsOf(bytes32 claim) external view returns (Anchor memory current, Anchor memory previous);

    /// @notice What is registered for a token in a generation.
    function registrationOf(bytes32 claim, uint32 generation, uint256 tokenId)
        external
        view
        returns (Registration memory);

    /// @notice The state of a group; all zero if nothing was registered in it.
    function groupOf(bytes32 group) external view returns (Group memory);
}
