// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {PoseidonT2} from "poseidon-solidity/PoseidonT2.sol";

import {IPostage} from "./interfaces/IPostage.sol";
import {IXmtpToken} from "./interfaces/IXmtpToken.sol";
import {LeafLog} from "./libraries/LeafLog.sol";
import {Money} from "./libraries/Money.sol";

/// @title Postage
/// @dev Documented in `IPostage`. Every function reads: guard, compute, write, emit, call; the guard against re-entry is
/// there for tokens that call back, which the order of things alone would withstand but for `_pull`'s comparison.
contract Postage is IPostage, ReentrancyGuardTransient {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    /* CONSTANTS */

    uint256 private constant VALID_ISSUES_AFTER = 4;
    uint256 private constant BOND_COOLDOWN = 14 days;
    uint256 private constant EXPIRY = 180 days;
    uint256 private constant NOTICE = 7 days;

    uint256 private constant BPS = 10_000;
    uint256 private constant MIN_BURN_BPS = 3000;
    uint256 private constant MAX_ISSUE_SECONDS = 366 days;

    /// @dev Kind of group: stamps. Others live in other contracts.
    uint8 private constant STAMPS = 1;

    /* IMMUTABLES */

    /// @inheritdoc IPostage
    address public immutable TOKEN;
    /// @inheritdoc IPostage
    address public immutable SETTLEMENT;
    /// @inheritdoc IPostage
    uint96 public immutable UNIT_PRICE;
    /// @inheritdoc IPostage
    uint32 public immutable ISSUE_SECONDS;
    /// @inheritdoc IPostage
    uint16 public immutable BURN_BPS;
    /// @inheritdoc IPostage
    uint16 public immutable BOND_BPS;
    bytes32 private immutable NETWORK_ID;

    /* STORAGE */

    /// @dev Slot 0, on which storage proofs rely; a test pins it.
    mapping(bytes32 id => Group) private _groups;
    mapping(uint256 commitment => Book) private _books;
    /// @inheritdoc IPostage
    mapping(address account => uint256) public credits;
    mapping(address payer => mapping(address wallet => mapping(address operator => Deposit))) private _deposits;

    /// @param token The token, with `burn` and EIP-2612; see `IPostage` for what is relied on.
    /// @param settlement The only contract that may release what is held.
    /// @param unitPrice Wei per unit of postage, not zero.
    /// @param issueSeconds 1 second to 366 days.
    /// @param burnBps 3,000 to 10,000 basis points.
    /// @param bondBps 1 to 10,000 basis points.
    constructor(
        address token,
        address settlement,
        uint96 unitPrice,
        uint32 issueSeconds,
        uint16 burnBps,
        uint16 bondBps
    ) {
        if (token.code.length == 0 || settlement == address(0) || unitPrice == 0) {
            revert InvalidParameters();
        }
        if (issueSeconds == 0 || issueSeconds > MAX_ISSUE_SECONDS) revert InvalidParameters();
        if (burnBps < MIN_BURN_BPS || burnBps > BPS) revert InvalidParameters();
        if (bondBps == 0 || bondBps > BPS) revert InvalidParameters();

        TOKEN = token;
        SETTLEMENT = settlement;
        UNIT_PRICE = unitPrice;
        ISSUE_SECONDS = issueSeconds;
        BURN_BPS = burnBps;
        BOND_BPS = bondBps;
        NETWORK_ID = keccak256(abi.encodePacked("xmtp/network/1", block.chainid.toUint64(), address(this)));
    }

    /* BOOKS */

    /// @inheritdoc IPostage
    function buy(uint32 denomination, uint32 count, uint256 commitment) external nonReentrant {
        _buy(denomination, count, commitment);
    }

    /// @inheritdoc IPostage
    function buyWithPermit(
        uint32 denomination,
        uint32 count,
        uint256 commitment,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant {
        (uint256 value, uint256 bond) = quote(denomination, count);
        // Anybody may have shown the permit to the token already; then the allowance is there and the permit is not.
        try IXmtpToken(TOKEN).permit(msg.sender, address(this), value + bond, deadline, v, r, s) {} catch {}
        _buy(denomination, count, commitment);
    }

    /// @inheritdoc IPostage
    function slash(uint256 secret, address reporter) external nonReentrant {
        if (secret >= LeafLog.FIELD) revert InvalidSecret();
        uint256 commitment = PoseidonT2.hash([secret]);
        Book memory book = _bonded(commitment);

        uint32 count = _countOf(book);
        (, uint256 bond) = quote(book.denomination, count);
        uint256 reward = Money.rewardOf(bond, reporter);
        bytes32 id = groupId(book.denomination, book.issue);

        _books[commitment].buyer = address(0);
        _groups[id].chain = LeafLog.link(_groups[id].chain, LeafLog.SLASH, commitment, count);
        credits[reporter] += reward;
        emit Slashed(
            id, reporter, commitment, LeafLog.volumeOf(book.leaf), LeafLog.positionOf(book.leaf), count, secret
        );
        _burn(bond - reward);
    }

    /// @inheritdoc IPostage
    function returnBond(uint256 commitment) external nonReentrant {
        Book memory book = _bonded(commitment);
        uint256 from = validUntil(book.issue) + BOND_COOLDOWN;
        if (block.timestamp < from) revert TooEarly(from);

        (, uint256 bond) = quote(book.denomination, _countOf(book));
        _books[commitment].buyer = address(0);
        emit BondReturned(commitment, book.buyer, bond);
        _pay(book.buyer, bond);
    }

    /* MONEY */

    /// @inheritdoc IPostage
    function withdraw() external nonReentrant {
        uint256 amount = credits[msg.sender];
        if (amount == 0) revert NothingDue();

        credits[msg.sender] = 0;
        emit Withdrawn(msg.sender, amount);
        _pay(msg.sender, amount);
    }

    /// @inheritdoc IPostage
    function release(uint32 issue, uint32 denomination, address to, uint256 amount) external nonReentrant {
        if (msg.sender != SETTLEMENT) revert NotSettlement();
        bytes32 id = groupId(denomination, issue);
        uint256 held = _groups[id].held;
        if (amount > held) revert InsufficientFunds(held);

        _groups[id].held = (held - amount).toUint160();
        emit Released(id, to, amount);
        _pay(to, amount);
    }

    /// @inheritdoc IPostage
    function burnExpired(uint32 issue, uint32 denomination) external nonReentrant {
        uint256 from = validUntil(issue) + EXPIRY;
        if (block.timestamp < from) revert TooEarly(from);
        bytes32 id = groupId(denomination, issue);
        uint256 amount = _groups[id].held;
        if (amount == 0) revert NothingDue();

        _groups[id].held = 0;
        emit ExpiredBurned(id, amount);
        _burn(amount);
    }

    /* DEPOSITS */

    /// @inheritdoc IPostage
    function depositFor(address wallet, address operator, uint256 amount, uint256 daily) external nonReentrant {
        if (wallet == address(0) || operator == address(0) || amount == 0 || daily == 0) revert InvalidDeposit();

        Deposit storage deposit = _deposits[msg.sender][wallet][operator];
        if (daily < deposit.daily && deposit.balance != 0) revert DailyAmountLowered(deposit.daily);

        deposit.balance += amount.toUint128();
        deposit.daily = daily.toUint128();
        deposit.withdrawableFrom = 0;
        emit Deposited(wallet, operator, msg.sender, amount, daily);
        _pull(amount);
    }

    /// @inheritdoc IPostage
    function debit(address payer, address wallet, uint256 amount) external nonReentrant {
        if (amount == 0) revert NothingDue();
        Deposit memory deposit = _deposits[payer][wallet][msg.sender];
        if (amount > deposit.balance) revert InsufficientFunds(deposit.balance);
        uint32 today = (block.timestamp / 1 days).toUint32();
        // slither-disable-next-line incorrect-equality
        uint256 spent = deposit.day == today ? deposit.spent : 0;
        // A deposit that was used up and paid in anew may name less a day than was debited today.
        uint256 available = Math.saturatingSub(deposit.daily, spent);
        if (amount > available) revert DailyAmountExceeded(available);

        uint256 burned = _burnedUp(amount);
        deposit.balance -= amount.toUint128();
        deposit.spent = (spent + amount).toUint128();
        deposit.day = today;
        _deposits[payer][wallet][msg.sender] = deposit;
        credits[msg.sender] += amount - burned;
        emit Debited(wallet, msg.sender, payer, amount);
        _burn(burned);
    }

    /// @inheritdoc IPostage
    function giveNotice(address wallet, address operator) external nonReentrant {
        Deposit storage deposit = _deposits[msg.sender][wallet][operator];
        if (deposit.balance == 0) revert NothingDue();

        uint256 from = block.timestamp + NOTICE;
        deposit.withdrawableFrom = from.toUint64();
        emit NoticeGiven(wallet, operator, msg.sender, from);
    }

    /// @inheritdoc IPostage
    function returnDeposit(address wallet, address operator) external nonReentrant {
        Deposit memory deposit = _deposits[msg.sender][wallet][operator];
        if (deposit.withdrawableFrom == 0) revert NoNotice();
        if (block.timestamp < deposit.withdrawableFrom) revert TooEarly(deposit.withdrawableFrom);
        if (deposit.balance == 0) revert NothingDue();

        delete _deposits[msg.sender][wallet][operator];
        emit DepositReturned(wallet, operator, msg.sender, deposit.balance);
        _pay(msg.sender, deposit.balance);
    }

    /* VIEWS */

    /// @inheritdoc IPostage
    function networkId() external view returns (bytes32) {
        return NETWORK_ID;
    }

    /// @inheritdoc IPostage
    function bookOf(uint256 commitment) external view returns (Book memory) {
        return _books[commitment];
    }

    /// @inheritdoc IPostage
    function groupOf(bytes32 group) external view returns (Group memory) {
        return _groups[group];
    }

    /// @inheritdoc IPostage
    function depositOf(address payer, address wallet, address operator) external view returns (Deposit memory) {
        return _deposits[payer][wallet][operator];
    }

    /// @inheritdoc IPostage
    function currentIssue() public view returns (uint32) {
        return (block.timestamp / ISSUE_SECONDS).toUint32();
    }

    /// @inheritdoc IPostage
    function groupId(uint32 denomination, uint32 issue) public view returns (bytes32) {
        return LeafLog.groupId(NETWORK_ID, STAMPS, LeafLog.sourceOf(address(this)), denomination, issue);
    }

    /// @inheritdoc IPostage
    function validUntil(uint32 issue) public view returns (uint256) {
        return (uint256(issue) + VALID_ISSUES_AFTER + 1) * ISSUE_SECONDS;
    }

    /// @inheritdoc IPostage
    function quote(uint32 denomination, uint32 count) public view returns (uint256 value, uint256 bond) {
        if (!_isDenomination(denomination)) revert InvalidDenomination();
        // slither-disable-next-line incorrect-equality
        if (count == 0 || count > LeafLog.MAX_LIMIT) revert InvalidCount();
        value = uint256(UNIT_PRICE) * denomination * count;
        bond = Math.ceilDiv(value * BOND_BPS, BPS);
    }

    /* INTERNALS */

    function _buy(uint32 denomination, uint32 count, uint256 commitment) private {
        (uint256 value, uint256 bond) = quote(denomination, count);
        if (!LeafLog.isCommitment(commitment)) revert InvalidCommitment();
        if (_books[commitment].denomination != 0) revert CommitmentUsed();

        uint256 burned = _burnedUp(value);
        _append(denomination, count, commitment, value - burned);
        _pull(value + bond);
        _burn(burned);
    }

    /// @dev The next leaf of the group that is on sale now, and the book it stands for.
    function _append(uint32 denomination, uint32 count, uint256 commitment, uint256 held) private {
        uint32 issue = currentIssue();
        bytes32 id = groupId(denomination, issue);
        Group storage group = _groups[id];
        uint32 leaf = group.leaves;

        _books[commitment] = Book({
            buyer: msg.sender,
            denomination: uint256(denomination).toUint16(),
            lastIndex: uint256(count - 1).toUint16(),
            issue: issue,
            leaf: leaf
        });
        group.chain = LeafLog.link(group.chain, LeafLog.INSERT, commitment, count);
        group.held += held.toUint160();
        group.stamps += count;
        group.leaves = leaf + 1;
        emit Bought(
            id, msg.sender, commitment, LeafLog.volumeOf(leaf), LeafLog.positionOf(leaf), denomination, issue, count
        );
    }

    function _pull(uint256 amount) private {
        if (!Money.pull(TOKEN, amount)) revert TokenMovedOtherAmount();
    }

    function _pay(address to, uint256 amount) private {
        IERC20(TOKEN).safeTransfer(to, amount);
    }

    function _burn(uint256 amount) private {
        IXmtpToken(TOKEN).burn(amount);
    }

    /// @dev The book under `commitment`, if its bond is still here.
    function _bonded(uint256 commitment) private view returns (Book memory book) {
        book = _books[commitment];
        // slither-disable-next-line incorrect-equality
        if (book.denomination == 0) revert UnknownBook();
        if (book.buyer == address(0)) revert BondGone();
    }

    function _burnedUp(uint256 value) private view returns (uint256) {
        return Math.ceilDiv(value * BURN_BPS, BPS);
    }

    function _countOf(Book memory book) private pure returns (uint32) {
        return uint32(book.lastIndex) + 1;
    }

    function _isDenomination(uint32 denomination) private pure returns (bool) {
        // slither-disable-next-line incorrect-equality
        return denomination == 1 || denomination == 2 || denomination == 5 || denomination == 10 || denomination == 20
            || denomination == 50 || denomination == 100 || denomination == 200 || denomination == 500;
    }
}
