// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title Stake: tokens locked for the right to write so many envelopes a day
/// @notice Who locks the amount of a *tier* under a *commitment*, the Poseidon hash of a secret that it keeps, becomes a
/// leaf of that tier's group. Nodes admit envelopes on zero-knowledge proofs that some leaf of the group has not used up
/// its limit for the day; which leaf, the proof does not say. The same index on two envelopes reveals the secret, and
/// whoever shows it here slashes the stake (docs/protocol.md, "Groups and their roots", "Contracts"; litepaper 10.4).
///
/// A stake is left in two steps. `requestExit` takes the leaf out of the tree at once; but nodes honour a root for 24
/// hours, and somebody must have the time to show what a proof under an old root revealed. So the tokens stay, and can be
/// slashed, for 7 days more, until `withdraw`.
///
/// The tree of a group is kept off chain: followers append the leaf of every `Staked`, remove that of every
/// `ExitRequested` and `Slashed`, in the order of the events, and check themselves against the group's `chain`.
///
/// @dev What this relies on: the token of `Postage` moves exactly the amount asked (one that does not is refused), and
/// `burn` lowers its supply. It is immutable, has no owner and no way to pause or upgrade. Tokens leave only as written
/// here: to whom they belong, burned, or as a credit. At all times the tokens here are the amounts of the stakes that are
/// neither withdrawn nor slashed, plus credits (tokens sent here by mistake stay here for ever).
interface IStake {
    /* TYPES */

    /// @notice What a deployment offers. Tiers are numbered from 1; which there are never changes.
    struct Tier {
        /// @dev What is locked, in wei of the token; not zero.
        uint128 amount;
        /// @dev Envelopes a day: 1 to 65,536, the limit in the leaf.
        uint32 limit;
    }

    /// @notice A stake as the chain remembers it, in one word of storage. A commitment once used stays used for ever.
    struct Lock {
        /// @dev Who staked, and to whom the amount returns. Zero once it was withdrawn or slashed.
        address staker;
        /// @dev Its tier; zero if nothing was ever staked under the commitment.
        uint16 tier;
        /// @dev Its number within the group, from 0: volume = leaf >> 21, position = leaf & (2^21 - 1).
        uint32 leaf;
        /// @dev From when on it may be withdrawn, in Unix seconds; zero if no exit was requested.
        uint48 withdrawableFrom;
    }

    /// @notice The state of a group. The mapping of groups is at slot 0 and `chain` in its first word, so that a follower
    /// needs one storage proof, of the word at `keccak256(group || 0 u256)`.
    struct Group {
        /// @dev Keccak chain over the operations on the leaf log, from zero:
        /// `keccak256(chain || kind u8 || commitment u256 || limit u32)`, kind 1 = insert, 2 = exit, 3 = slash.
        /// A slash may follow an exit: then there is no leaf to remove any more.
        bytes32 chain;
        /// @dev Leaves appended, those that left included: the number of the next leaf.
        uint32 leaves;
    }

    /* EVENTS */

    /// @notice The amount of `tier` was locked: its leaf (commitment, limit) was appended to `group` as number
    /// `volume` * 2^21 + `position`. Emitted once per stake; nodes learn of stakes from this event alone.
    event Staked(
        bytes32 indexed group,
        address indexed staker,
        uint256 commitment,
        uint32 volume,
        uint32 position,
        uint32 tier,
        uint32 limit
    );

    /// @notice The staker asked for its tokens back: the leaf leaves the tree, and the amount may be withdrawn from the
    /// Unix time `from` on. `limit` is that in the leaf, as in `Staked`.
    event ExitRequested(
        bytes32 indexed group,
        address indexed staker,
        uint256 commitment,
        uint32 volume,
        uint32 position,
        uint32 limit,
        uint256 from
    );

    /// @notice A stake's secret became known and the stake was slashed: its leaf leaves the tree, if it had not left
    /// already, and no pass of it is good any more. `limit` is that in the leaf, as in `Staked`.
    event Slashed(
        bytes32 indexed group,
        address indexed reporter,
        uint256 commitment,
        uint32 volume,
        uint32 position,
        uint32 limit,
        uint256 secret
    );

    /// @notice The amount went back to its staker.
    event StakeReturned(uint256 indexed commitment, address indexed staker, uint256 amount);

    /// @notice `account` took its credit.
    event CreditWithdrawn(address indexed account, uint256 amount);

    /* ERRORS */

    /// @notice At deployment: `Postage` has no code, there are no tiers or more than 16, an amount is zero, or a limit is
    /// zero or above 65,536.
    error InvalidParameters();

    /// @notice There is no such tier. The caller's to mend: see `tiers`.
    error InvalidTier();

    /// @notice The commitment is zero or not below the field's modulus. The caller's to mend.
    error InvalidCommitment();

    /// @notice Something was staked under this commitment before, be it withdrawn or slashed by now. The caller must
    /// derive another secret; a staker whose own transaction was repeated has the stake already, if `lockOf` names them.
    error CommitmentUsed();

    /// @notice The secret is not below the field's modulus. The caller's to mend.
    error InvalidSecret();

    /// @notice Nothing was staked under this commitment, or nothing belongs to this secret. The caller's to mend.
    error UnknownStake();

    /// @notice The stake is gone: withdrawn, or slashed by somebody who was faster. Nobody's fault; nothing to do.
    error StakeGone();

    /// @notice Only who staked may request the exit.
    error NotStaker();

    /// @notice The exit was requested before; the amount may be withdrawn from the Unix time `from` on.
    error ExitAlreadyRequested(uint256 from);

    /// @notice No exit was requested: see `requestExit`.
    error NoExit();

    /// @notice Not before the Unix time `from`. Try again then.
    error TooEarly(uint256 from);

    /// @notice There is nothing to pay out.
    error NothingDue();

    /// @notice The token moved another amount than it was asked to. The deployment's fault: such a token cannot be used.
    error TokenMovedOtherAmount();

    /* STAKES */

    /// @notice Locks the amount of `tier` under `commitment`, out of the caller's allowance.
    /// @dev Reverts with `InvalidTier`, `InvalidCommitment`, `CommitmentUsed`, `TokenMovedOtherAmount`, or as the token
    /// does (allowance, balance).
    /// Warning: nobody can tell whether the staker knows the secret. Who stakes under another's commitment before they do
    /// gives them a stake for nothing, which they can slash; the other sees `CommitmentUsed`. Never use a secret twice,
    /// not in `Postage` either: what reveals it there reveals it here.
    /// @param tier From 1.
    /// @param commitment Poseidon hash (circomlib, BN254, one input) of the stake's secret: not zero, below the field's
    /// modulus, never used here before.
    function stake(uint32 tier, uint256 commitment) external;

    /// @notice As `stake`, with an EIP-2612 permit from the caller to this contract over exactly the tier's amount.
    /// @dev A permit that fails (used before by a front-runner, expired) is passed over, and the allowance decides.
    /// @param deadline Of the permit, in Unix seconds.
    /// @param v Of the permit's signature; `r` and `s` likewise.
    function stakeWithPermit(uint32 tier, uint256 commitment, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;

    /// @notice Takes the leaf of the caller's stake out of the tree, for good; 7 days later the amount may be withdrawn.
    /// There is no way back but a new stake under a new commitment.
    /// @dev Reverts with `UnknownStake`, `StakeGone`, `NotStaker`, `ExitAlreadyRequested`.
    function requestExit(uint256 commitment) external;

    /// @notice Pays the amount of a stake back to its staker, 7 days after its exit was requested and never after a
    /// slash. Anybody may call; the staker is paid.
    /// @dev Reverts with `UnknownStake`, `StakeGone`, `NoExit`, `TooEarly`.
    function withdraw(uint256 commitment) external;

    /// @notice Slashes the stake whose secret this is: a tenth of its amount, rounded down, is credited to `reporter`, the
    /// rest is burned, and its leaf is recorded as gone. Anybody may call, at any time until the stake is withdrawn.
    /// @dev Reverts with `InvalidSecret`, `UnknownStake`, `StakeGone`. The secret is public once this transaction is, and
    /// may be copied by who pays more for gas: the tenth is what that is worth, and all that slashing oneself saves, so it
    /// is no way around the 7 days.
    /// @param secret Below the field's modulus; its Poseidon hash is the stake's commitment.
    /// @param reporter Who may `withdrawCredit` the tenth; zero to burn it too.
    function slash(uint256 secret, address reporter) external;

    /// @notice Pays the caller what slashes have credited to it.
    /// @dev Reverts with `NothingDue`.
    function withdrawCredit() external;

    /* VIEWS */

    /// @notice The `Postage` of the network that this belongs to.
    function POSTAGE() external view returns (address);

    /// @notice The token that is staked: that of `POSTAGE`.
    function TOKEN() external view returns (address);

    /// @notice The id of the network: that of `POSTAGE`.
    function networkId() external view returns (bytes32);

    /// @notice All tiers; that with the number `n` stands at `n` - 1.
    function tiers() external view returns (Tier[] memory);

    /// @notice The tier with this number.
    /// @dev Reverts with `InvalidTier`.
    function tierOf(uint32 tier) external view returns (Tier memory);

    /// @notice The id of a tier's group:
    /// `keccak256("xmtp/group/1" || networkId || 2 u8 || this contract, left-padded to 32 || tier u32 || 0 u32)`.
    /// @dev Says nothing about whether such a tier exists.
    function groupId(uint32 tier) external view returns (bytes32);

    /// @notice The stake under `commitment`; all zero if there never was one.
    function lockOf(uint256 commitment) external view returns (Lock memory);

    /// @notice The state of a group; all zero if nothing was staked in it.
    function groupOf(bytes32 group) external view returns (Group memory);

    /// @notice What `account` may take with `withdrawCredit`, in wei.
    function credits(address account) external view returns (uint256);
}
