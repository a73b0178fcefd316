// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {PoseidonT2} from "poseidon-solidity/PoseidonT2.sol";

import {IPostage} from "./interfaces/IPostage.sol";
import {IStake} from "./interfaces/IStake.sol";
import {IXmtpToken} from "./interfaces/IXmtpToken.sol";
import {LeafLog} from "./libraries/LeafLog.sol";
import {Money} from "./libraries/Money.sol";

/// @title Stake
/// @dev Documented in `IStake`. Every function reads: guard, compute, write, emit, call; the guard against re-entry is
/// there for tokens that call back, as in `Postage`.
contract Stake is IStake, ReentrancyGuardTransient {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    /* CONSTANTS */

    uint256 private constant MAX_TIERS = 16;
    uint256 private constant COOLDOWN = 7 days;

    /// @dev Kind of group: stakes.
    uint8 private constant STAKES = 2;

    /* IMMUTABLES */

    /// @inheritdoc IStake
    address public immutable POSTAGE;
    /// @inheritdoc IStake
    address public immutable TOKEN;
    bytes32 private immutable NETWORK_ID;

    /* STORAGE */

    /// @dev Slot 0, on which storage proofs rely; a test pins it.
    mapping(bytes32 id => Group) private _groups;
    mapping(uint256 commitment => Lock) private _locks;
    /// @inheritdoc IStake
    mapping(address account => uint256) public credits;
    /// @dev Written by the constructor alone.
    Tier[] private _tiers;

    /// @param postage Of the network; its token is what is staked.
    /// @param tiers_ 1 to 16, of amounts above zero and limits of 1 to 65,536.
    constructor(address postage, Tier[] memory tiers_) {
        if (postage.code.length == 0) revert InvalidParameters();
        if (tiers_.length == 0 || tiers_.length > MAX_TIERS) revert InvalidParameters();

        POSTAGE = postage;
        TOKEN = IPostage(postage).TOKEN();
        NETWORK_ID = IPostage(postage).networkId();
        for (uint256 index = 0; index < tiers_.length; index++) {
            Tier memory it = tiers_[index];
            if (it.amount == 0 || it.limit == 0 || it.limit > LeafLog.MAX_LIMIT) revert InvalidParameters();
            _tiers.push(it);
        }
    }

    /* STAKES */

    /// @inheritdoc IStake
    function stake(uint32 tier, uint256 commitment) external nonReentrant {
        _pull(_append(tier, commitment));
    }

    /// @inheritdoc IStake
    function stakeWithPermit(uint32 tier, uint256 commitment, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        nonReentrant
    {
        uint256 amount = _append(tier, commitment);
        // Anybody may have shown the permit to the token already; then the allowance is there and the permit is not.
        try IXmtpToken(TOKEN).permit(msg.sender, address(this), amount, deadline, v, r, s) {} catch {}
        _pull(amount);
    }

    /// @inheritdoc IStake
    function requestExit(uint256 commitment) external nonReentrant {
        Lock memory lock = _locked(commitment);
        if (msg.sender != lock.staker) revert NotStaker();
        if (lock.withdrawableFrom != 0) revert ExitAlreadyRequested(lock.withdrawableFrom);

        uint256 from = block.timestamp + COOLDOWN;
        uint32 limit = tierOf(lock.tier).limit;
        bytes32 id = groupId(lock.tier);

        _locks[commitment].withdrawableFrom = from.toUint48();
        _groups[id].chain = LeafLog.link(_groups[id].chain, LeafLog.EXIT, commitment, limit);
        emit ExitRequested(
            id, msg.sender, commitment, LeafLog.volumeOf(lock.leaf), LeafLog.positionOf(lock.leaf), limit, from
        );
    }

    /// @inheritdoc IStake
    function withdraw(uint256 commitment) external nonReentrant {
        Lock memory lock = _locked(commitment);
        if (lock.withdrawableFrom == 0) revert NoExit();
        if (block.timestamp < lock.withdrawableFrom) revert TooEarly(lock.withdrawableFrom);

        uint256 amount = tierOf(lock.tier).amount;
        _locks[commitment].staker = address(0);
        emit StakeReturned(commitment, lock.staker, amount);
        IERC20(TOKEN).safeTransfer(lock.staker, amount);
    }

    /// @inheritdoc IStake
    function slash(uint256 secret, address reporter) external nonReentrant {
        if (secret >= LeafLog.FIELD) revert InvalidSecret();
        uint256 commitment = PoseidonT2.hash([secret]);
        Lock memory lock = _locked(commitment);

        Tier memory tier = tierOf(lock.tier);
        uint256 reward = Money.rewardOf(tier.amount, reporter);
        bytes32 id = groupId(lock.tier);

        _locks[commitment].staker = address(0);
        _groups[id].chain = LeafLog.link(_groups[id].chain, LeafLog.SLASH, commitment, tier.limit);
        credits[reporter] += reward;
        emit Slashed(
            id, reporter, commitment, LeafLog.volumeOf(lock.leaf), LeafLog.positionOf(lock.leaf), tier.limit, secret
        );
        IXmtpToken(TOKEN).burn(tier.amount - reward);
    }

    /// @inheritdoc IStake
    function withdrawCredit() external nonReentrant {
        uint256 amount = credits[msg.sender];
        if (amount == 0) revert NothingDue();

        credits[msg.sender] = 0;
        emit CreditWithdrawn(msg.sender, amount);
        IERC20(TOKEN).safeTransfer(msg.sender, amount);
    }

    /* VIEWS */

    /// @inheritdoc IStake
    function networkId() external view returns (bytes32) {
        return NETWORK_ID;
    }

    /// @inheritdoc IStake
    function tiers() external view returns (Tier[] memory) {
        return _tiers;
    }

    /// @inheritdoc IStake
    function lockOf(uint256 commitment) external view returns (Lock memory) {
        return _locks[commitment];
    }

    /// @inheritdoc IStake
    function groupOf(bytes32 group) external view returns (Group memory) {
        return _groups[group];
    }

    /// @inheritdoc IStake
    function tierOf(uint32 tier) public view returns (Tier memory) {
        if (tier == 0 || tier > _tiers.length) revert InvalidTier();
        return _tiers[tier - 1];
    }

    /// @inheritdoc IStake
    function groupId(uint32 tier) public view returns (bytes32) {
        return LeafLog.groupId(NETWORK_ID, STAKES, LeafLog.sourceOf(address(this)), tier, 0);
    }

    /* INTERNALS */

    /// @dev The next leaf of the tier's group, and the stake it stands for. The amount is still to be taken.
    function _append(uint32 tier, uint256 commitment) private returns (uint256 amount) {
        Tier memory it = tierOf(tier);
        if (!LeafLog.isCommitment(commitment)) revert InvalidCommitment();
        if (_locks[commitment].tier != 0) revert CommitmentUsed();

        bytes32 id = groupId(tier);
        Group storage group = _groups[id];
        uint32 leaf = group.leaves;

        _locks[commitment] = Lock({staker: msg.sender, tier: uint256(tier).toUint16(), leaf: leaf, withdrawableFrom: 0});
        group.chain = LeafLog.link(group.chain, LeafLog.INSERT, commitment, it.limit);
        group.leaves = leaf + 1;
        emit Staked(id, msg.sender, commitment, LeafLog.volumeOf(leaf), LeafLog.positionOf(leaf), tier, it.limit);
        return it.amount;
    }

    function _pull(uint256 amount) private {
        if (!Money.pull(TOKEN, amount)) revert TokenMovedOtherAmount();
    }

    /// @dev The stake under `commitment`, if its amount is still here.
    function _locked(uint256 commitment) private view returns (Lock memory lock) {
        lock = _locks[commitment];
        // slither-disable-next-line incorrect-equality
        if (lock.tier == 0) revert UnknownStake();
        if (lock.staker == address(0)) revert StakeGone();
    }
}
