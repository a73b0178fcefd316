// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title Postage: stamp books, their bonds, and the money for those who carry the mail
/// @notice A *book* is `count` prepaid stamps of one denomination, bought under a *commitment*, the Poseidon hash of a
/// secret that its buyer keeps. Nodes admit an envelope on a zero-knowledge proof of an unused stamp of some book; which
/// book, the proof does not say. The same stamp on two envelopes reveals the secret, and whoever shows it here slashes
/// the book's bond (docs/protocol.md, "Groups and their roots", "Contracts"; litepaper 10.4).
///
/// The books of one denomination and one *issue* (a span of `ISSUE_SECONDS`, by default a quarter of a year) form a
/// *group*. Its Merkle tree is kept off chain: followers append the leaf of every `Bought` and remove that of every
/// `Slashed`, in the order of the events, and check themselves against the group's `chain`.
///
/// @dev What this relies on: the token moves exactly the amount asked (one that does not is refused), and `burn` lowers
/// its supply. It is immutable, has no owner and no way to pause or upgrade. Money leaves only as written here:
/// burned, as a bond to its buyer, as a credit, as a deposit to its payer, or released by the settlement contract.
/// At all times the value sold equals what was burned of it, plus what was released, plus what is held; and the tokens
/// here are what is held, open bonds, credits and deposits (tokens sent here by mistake stay here for ever).
interface IPostage {
    /* TYPES */

    /// @notice A book as the chain remembers it, in one word of storage. A commitment once used stays used for ever.
    struct Book {
        /// @dev Who paid, and to whom the bond returns. Zero once the bond was returned or slashed.
        address buyer;
        /// @dev Units that one stamp is worth; zero if no book was ever bought under the commitment.
        uint16 denomination;
        /// @dev The highest index of a stamp, `count` - 1, so that 65,536 stamps fit into 16 bits.
        uint16 lastIndex;
        /// @dev The issue it was bought in.
        uint32 issue;
        /// @dev Its number within the group, from 0: volume = leaf >> 21, position = leaf & (2^21 - 1).
        uint32 leaf;
    }

    /// @notice The state of a group. The mapping of groups is at slot 0 and `chain` in its first word, so that a follower
    /// needs one storage proof, of the word at `keccak256(group || 0 u256)`.
    struct Group {
        /// @dev Keccak chain over the operations on the leaf log, from zero:
        /// `keccak256(chain || kind u8 || commitment u256 || limit u32)`, kind 1 = insert, 2 = exit, 3 = slash
        /// (no leaf of a stamp group exits); limit is the number of stamps in the book.
        bytes32 chain;
        /// @dev Value sold, less what was burned of it and what was released, in wei.
        uint160 held;
        /// @dev Stamps sold.
        uint64 stamps;
        /// @dev Leaves appended, slashed ones included: the number of the next leaf.
        uint32 leaves;
    }

    /// @notice Credit of a legacy wallet with one operator. It belongs to who paid it in until it is debited.
    struct Deposit {
        /// @dev What is left, in wei.
        uint128 balance;
        /// @dev The most that the operator may debit in one UTC day, in wei.
        uint128 daily;
        /// @dev Debited on `day`, in wei.
        uint128 spent;
        /// @dev The UTC day of the last debit: Unix seconds / 86,400, rounded down.
        uint32 day;
        /// @dev From when on the payer may take the rest back, in Unix seconds; zero if no notice was given.
        uint64 withdrawableFrom;
    }

    /* EVENTS */

    /// @notice A book was bought: its leaf (commitment, count) was appended to `group` as number
    /// `volume` * 2^21 + `position`. Emitted once per book; nodes learn of books from this event alone.
    event Bought(
        bytes32 indexed group,
        address indexed buyer,
        uint256 commitment,
        uint32 volume,
        uint32 position,
        uint32 denomination,
        uint32 issue,
        uint32 count
    );

    /// @notice A book's secret became known and its bond was slashed: its leaf leaves the tree, and no stamp of it is
    /// good any more. `count` is the limit in the leaf, as in `Bought`.
    event Slashed(
        bytes32 indexed group,
        address indexed reporter,
        uint256 commitment,
        uint32 volume,
        uint32 position,
        uint32 count,
        uint256 secret
    );

    /// @notice The bond of an expired book went back to its buyer.
    event BondReturned(uint256 indexed commitment, address indexed buyer, uint256 amount);

    /// @notice The settlement contract paid `amount` wei out of what `group` holds.
    event Released(bytes32 indexed group, address indexed to, uint256 amount);

    /// @notice What an expired `group` still held was burned.
    event ExpiredBurned(bytes32 indexed group, uint256 amount);

    /// @notice `account` took its credit.
    event Withdrawn(address indexed account, uint256 amount);

    /// @notice `payer` added `amount` wei to `wallet`'s deposit with `operator`, which may debit `daily` wei a day of it.
    event Deposited(
        address indexed wallet, address indexed operator, address indexed payer, uint256 amount, uint256 daily
    );

    /// @notice `operator` debited `amount` wei for the mail of `wallet`.
    event Debited(address indexed wallet, address indexed operator, address indexed payer, uint256 amount);

    /// @notice `payer` may take back what is left of the deposit from the Unix time `from` on.
    event NoticeGiven(address indexed wallet, address indexed operator, address indexed payer, uint256 from);

    /// @notice `payer` took back what was left of the deposit.
    event DepositReturned(address indexed wallet, address indexed operator, address indexed payer, uint256 amount);

    /* ERRORS */

    /// @notice At deployment: the token has no code, the settlement address is zero, or a share, the price of a unit or
    /// the length of an issue is out of its range.
    error InvalidParameters();

    /// @notice The denomination is none of 1, 2, 5, 10, 20, 50, 100, 200, 500. The caller's to mend.
    error InvalidDenomination();

    /// @notice The count is zero or above 65,536. The caller's to mend.
    error InvalidCount();

    /// @notice The commitment is zero or not below the field's modulus. The caller's to mend.
    error InvalidCommitment();

    /// @notice A book was bought under this commitment before, be it slashed or expired by now. The caller must derive
    /// another secret; a buyer whose own transaction was repeated has the book already, if `bookOf` names them.
    error CommitmentUsed();

    /// @notice The secret is not below the field's modulus. The caller's to mend.
    error InvalidSecret();

    /// @notice No book was bought under this commitment, or none belongs to this secret. The caller's to mend.
    error UnknownBook();

    /// @notice The bond is gone: returned, or slashed by somebody who was faster. Nobody's fault; nothing to do.
    error BondGone();

    /// @notice Not before the Unix time `from`. Try again then.
    error TooEarly(uint256 from);

    /// @notice Only the settlement contract may release what is held.
    error NotSettlement();

    /// @notice More was asked for than there is: `available` wei.
    error InsufficientFunds(uint256 available);

    /// @notice The daily amount of the deposit allows only `available` wei more today. Try again tomorrow.
    error DailyAmountExceeded(uint256 available);

    /// @notice The deposit still holds something, and `daily` wei a day may be debited of it: a lower daily amount would
    /// cut short the notice that its operator is owed. The caller's to mend: name no less, or give notice.
    error DailyAmountLowered(uint256 daily);

    /// @notice There is nothing to pay out, debit or burn.
    error NothingDue();

    /// @notice A deposit names a wallet, an operator, an amount and a daily amount; one of them is zero.
    error InvalidDeposit();

    /// @notice No notice was given for this deposit: see `giveNotice`.
    error NoNotice();

    /// @notice The token moved another amount than it was asked to. The deployment's fault: such a token cannot be used.
    error TokenMovedOtherAmount();

    /* BOOKS */

    /// @notice Buys a book of `count` stamps of `denomination` under `commitment` for the caller, at face value plus
    /// bond (see `quote`), out of the caller's allowance. The burned share is burned at once, the rest is held for
    /// those who will carry and read the mail; stamps are not refunded.
    /// @dev Reverts with `InvalidDenomination`, `InvalidCount`, `InvalidCommitment`, `CommitmentUsed`,
    /// `TokenMovedOtherAmount`, or as the token does (allowance, balance).
    /// Warning: nobody can tell whether the buyer knows the secret. Who buys under another's commitment before they do
    /// gives them stamps for nothing and keeps the bond; the other sees `CommitmentUsed`, and may find fewer stamps in
    /// `bookOf` than it asked for. Never use a secret twice.
    /// @param denomination Units that one stamp is worth: 1, 2, 5, 10, 20, 50, 100, 200 or 500.
    /// @param count Stamps in the book: 1 to 65,536.
    /// @param commitment Poseidon hash (circomlib, BN254, one input) of the book's secret: not zero, below the field's
    /// modulus, never used before.
    function buy(uint32 denomination, uint32 count, uint256 commitment) external;

    /// @notice As `buy`, with an EIP-2612 permit from the caller to this contract over exactly value + bond.
    /// @dev A permit that fails (used before by a front-runner, expired) is passed over, and the allowance decides.
    /// @param deadline Of the permit, in Unix seconds.
    /// @param v Of the permit's signature; `r` and `s` likewise.
    function buyWithPermit(
        uint32 denomination,
        uint32 count,
        uint256 commitment,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;

    /// @notice Slashes the book whose secret this is: a tenth of its bond, rounded down, is credited to `reporter`, the
    /// rest is burned, and its leaf is recorded as gone. Anybody may call, at any time until the bond is returned.
    /// @dev Reverts with `InvalidSecret`, `UnknownBook`, `BondGone`. The secret is public once this transaction is, and
    /// may be copied by who pays more for gas: the tenth is what that is worth, and all that slashing oneself saves.
    /// @param secret Below the field's modulus; its Poseidon hash is the book's commitment.
    /// @param reporter Who may `withdraw` the tenth.
    function slash(uint256 secret, address reporter) external;

    /// @notice Pays the bond of a book back to its buyer, 14 days after the book's validity has ended and never after a
    /// slash. Anybody may call; the buyer is paid.
    /// @dev Reverts with `UnknownBook`, `BondGone`, `TooEarly`.
    function returnBond(uint256 commitment) external;

    /* MONEY */

    /// @notice Pays the caller what slashes and debits have credited to it.
    /// @dev Reverts with `NothingDue`.
    function withdraw() external;

    /// @notice Pays `amount` wei of what is held for (issue, denomination) to `to`. Only the settlement contract, which
    /// was fixed at deployment, may; it decides who carried and who read the mail.
    /// @dev Reverts with `NotSettlement`, `InsufficientFunds`.
    function release(uint32 issue, uint32 denomination, address to, uint256 amount) external;

    /// @notice Burns what is still held for (issue, denomination), 180 days after the validity of its books has ended.
    /// Anybody may call.
    /// @dev Reverts with `TooEarly`, `NothingDue`.
    function burnExpired(uint32 issue, uint32 denomination) external;

    /* DEPOSITS */

    /// @notice Pays `amount` wei of the caller's in as credit of `wallet` with `operator`, for wallets whose software
    /// cannot attach passes. The operator may debit it for their mail, at most `daily` wei a day. A deposit is one per
    /// caller, wallet and operator: paying in again adds to it, sets `daily` anew and takes back a notice given. While
    /// something is left of it, `daily` may be raised but not lowered; who wants less gives notice.
    /// @dev Reverts with `InvalidDeposit`, `DailyAmountLowered`, `TokenMovedOtherAmount`, or as the token does.
    /// Warning: within the daily amount the operator alone decides what it debits: trust it with that, and no more.
    function depositFor(address wallet, address operator, uint256 amount, uint256 daily) external;

    /// @notice Debits `amount` wei of the deposit that `payer` holds for `wallet` with the caller, as postage: the
    /// burned share is burned, the rest credited to the caller.
    /// @dev Reverts with `InsufficientFunds`, `DailyAmountExceeded`, `NothingDue` (an amount of zero).
    function debit(address payer, address wallet, uint256 amount) external;

    /// @notice Announces that the caller will take back its deposit for `wallet` with `operator`, 7 days from now.
    /// Until it does, the operator may go on debiting. Giving notice again starts the 7 days anew.
    /// @dev Reverts with `NothingDue` if the deposit is empty.
    /// Warning: once the 7 days are over, what is left may be gone with any block. An operator carries no mail on a
    /// deposit under notice that it could not debit before.
    function giveNotice(address wallet, address operator) external;

    /// @notice Pays what is left of the caller's deposit for `wallet` with `operator` back, 7 days after notice.
    /// @dev Reverts with `NoNotice`, `TooEarly`, `NothingDue`.
    function returnDeposit(address wallet, address operator) external;

    /* VIEWS */

    /// @notice The token that everything here is paid in.
    function TOKEN() external view returns (address);

    /// @notice The only contract that may `release` what is held.
    function SETTLEMENT() external view returns (address);

    /// @notice The price of one unit of postage, in wei of the token.
    function UNIT_PRICE() external view returns (uint96);

    /// @notice The length of an issue in seconds.
    function ISSUE_SECONDS() external view returns (uint32);

    /// @notice The share of every sale that is burned, in basis points: 3,000 to 10,000.
    function BURN_BPS() external view returns (uint16);

    /// @notice The bond as a share of face value, in basis points: 1 to 10,000.
    function BOND_BPS() external view returns (uint16);

    /// @notice `keccak256("xmtp/network/1" || chain id u64 || address of this contract)`: what every signature and every
    /// digest of the network names.
    function networkId() external view returns (bytes32);

    /// @notice The issue that books are sold in now: Unix seconds / `ISSUE_SECONDS`, rounded down.
    function currentIssue() external view returns (uint32);

    /// @notice The id of a group of stamps:
    /// `keccak256("xmtp/group/1" || networkId || 1 u8 || this contract, left-padded to 32 || denomination u32 || issue u32)`.
    /// @dev Says nothing about whether such a group exists.
    function groupId(uint32 denomination, uint32 issue) external view returns (bytes32);

    /// @notice When the books of `issue` cease to be valid, in Unix seconds: with the fourth issue after their own.
    function validUntil(uint32 issue) external view returns (uint256);

    /// @notice What a book costs in wei: its face value, and the bond (rounded up) on top of it.
    /// @dev Reverts with `InvalidDenomination`, `InvalidCount`.
    function quote(uint32 denomination, uint32 count) external view returns (uint256 value, uint256 bond);

    /// @notice The book bought under `commitment`; all zero if there is none.
    function bookOf(uint256 commitment) external view returns (Book memory);

    /// @notice The state of a group; all zero if nothing was sold in it.
    function groupOf(bytes32 group) external view returns (Group memory);

    /// @notice What `account` may `withdraw`, in wei.
    function credits(address account) external view returns (uint256);

    /// @notice The deposit that `payer` holds for `wallet` with `operator`; all zero if there is none.
    function depositOf(address payer, address wallet, address operator) external view returns (Deposit memory);
}
