// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {stdError} from "forge-std/StdError.sol";

import {Stake} from "../src/Stake.sol";
import {IStake} from "../src/interfaces/IStake.sol";
import {IXmtpToken} from "../src/interfaces/IXmtpToken.sol";
import {Base} from "./Base.t.sol";
import {FeeToken} from "./mocks/FeeToken.sol";
import {ReentrantToken} from "./mocks/ReentrantToken.sol";

abstract contract StakeBase is Base {
    uint256 internal constant COOLDOWN = 7 days;

    function boundTier(uint256 seed) internal pure returns (uint32) {
        return uint32(bound(seed, 1, defaultTiers().length));
    }

    function amountOf(uint32 tier) internal pure returns (uint256) {
        return defaultTiers()[tier - 1].amount;
    }

    function limitOf(uint32 tier) internal pure returns (uint32) {
        return defaultTiers()[tier - 1].limit;
    }

    function stake(uint32 tier, uint256 commitment) internal {
        vm.prank(buyer);
        stakes.stake(tier, commitment);
    }

    function stakeWithSecret(uint32 tier, uint256 secret) internal returns (uint256 commitment) {
        commitment = commitmentOf(secret);
        stake(tier, commitment);
    }

    function requestExit(uint256 commitment) internal {
        vm.prank(buyer);
        stakes.requestExit(commitment);
    }

    function chainOf(uint32 tier) internal view returns (bytes32) {
        return stakes.groupOf(stakes.groupId(tier)).chain;
    }
}

contract StakeDeploymentTest is StakeBase {
    function test_theParametersAreThoseOfTheDeployment() public view {
        assertEq(stakes.POSTAGE(), address(postage), "postage");
        assertEq(stakes.TOKEN(), address(token), "the token is that of the postage");
        assertEq(stakes.networkId(), postage.networkId(), "the network is that of the postage");
        assertEq(abi.encode(stakes.tiers()), abi.encode(defaultTiers()), "tiers");
        for (uint32 tier = 1; tier <= 2; tier++) {
            assertEq(abi.encode(stakes.tierOf(tier)), abi.encode(defaultTiers()[tier - 1]), "tier");
        }
    }

    function check(address postage_, IStake.Tier[] memory tiers) internal {
        vm.expectRevert(IStake.InvalidParameters.selector);
        new Stake(postage_, tiers);
    }

    function one(uint128 amount, uint32 limit) internal pure returns (IStake.Tier[] memory) {
        return many(1, amount, limit);
    }

    function many(uint256 count, uint128 amount, uint32 limit) internal pure returns (IStake.Tier[] memory tiers) {
        tiers = new IStake.Tier[](count);
        for (uint256 index = 0; index < count; index++) {
            tiers[index] = IStake.Tier(amount, limit);
        }
    }

    function test_parametersOutOfRangeAreRefused() public {
        check(stranger, defaultTiers());
        check(address(postage), many(0, 1, 1));
        check(address(postage), many(17, 1, 1));
        check(address(postage), one(0, 1));
        check(address(postage), one(1, 0));
        check(address(postage), one(1, 65_537));
        check(address(postage), one(1, type(uint32).max));
        IStake.Tier[] memory last = defaultTiers();
        last[1].limit = 0;
        check(address(postage), last);
    }

    function test_parametersAtTheirEdgesAreAccepted() public {
        new Stake(address(postage), one(1, 1));
        new Stake(address(postage), many(16, type(uint128).max, 65_536));
    }

    function test_tiersAreCountedFromOne(uint32 tier) public {
        vm.assume(tier == 0 || tier > 2);
        vm.expectRevert(IStake.InvalidTier.selector);
        stakes.tierOf(tier);
        vm.expectRevert(IStake.InvalidTier.selector);
        stake(tier, 7);
        vm.expectRevert(IStake.InvalidTier.selector);
        vm.prank(buyer);
        stakes.stakeWithPermit(tier, 7, 0, 27, 0, 0);
    }

    function test_groupId_isWhatTheProtocolSays(uint32 tier) public view {
        bytes32 source = bytes32(uint256(uint160(address(stakes))));
        bytes32 id = keccak256(
            bytes.concat("xmtp/group/1", postage.networkId(), hex"02", source, bytes4(tier), bytes4(uint32(0)))
        );
        assertEq(stakes.groupId(tier), id, "group id");
    }
}

contract StakeStakeTest is StakeBase {
    function test_stake_recordsTheStake(uint256 tierSeed, uint256 commitment) public {
        uint32 tier = boundTier(tierSeed);
        commitment = bound(commitment, 1, FIELD - 1);
        bytes32 id = stakes.groupId(tier);
        vm.expectEmit(address(stakes));
        emit IStake.Staked(id, buyer, commitment, 0, 0, tier, limitOf(tier));
        stake(tier, commitment);

        IStake.Lock memory lock = stakes.lockOf(commitment);
        assertEq(lock.staker, buyer, "staker");
        assertEq(lock.tier, tier, "tier");
        assertEq(lock.leaf, 0, "leaf");
        assertEq(lock.withdrawableFrom, 0, "no exit");
        IStake.Group memory group = stakes.groupOf(id);
        assertEq(group.chain, link(0, 1, commitment, limitOf(tier)), "chain");
        assertEq(group.leaves, 1, "leaves");
    }

    function test_stake_takesTheAmountOfItsTier(uint256 tierSeed) public {
        uint32 tier = boundTier(tierSeed);
        uint256 before = token.balanceOf(buyer);
        stake(tier, 7);
        assertEq(before - token.balanceOf(buyer), amountOf(tier), "paid");
        assertEq(token.balanceOf(address(stakes)), amountOf(tier), "locked");
        assertEq(token.totalSupply(), SUPPLY, "nothing is burned");
    }

    function test_stake_appendsToTheGroupOfItsTier() public {
        stake(1, 1);
        stake(1, 2);
        stake(2, 3);
        assertEq(stakes.lockOf(2).leaf, 1, "second leaf of its group");
        assertEq(stakes.lockOf(3).leaf, 0, "first leaf of another");
        assertEq(chainOf(1), link(link(0, 1, 1, limitOf(1)), 1, 2, limitOf(1)), "chain");
        assertEq(chainOf(2), link(0, 1, 3, limitOf(2)), "chain of the other");
    }

    /// @dev Two million stakes are beyond a test; the count of leaves is set where it is stored.
    function test_everyEventNamesTheVolume() public {
        stake(1, 1);
        setLeaves(1, (1 << 21) - 1);
        uint256 last = stakeWithSecret(1, 41);
        uint256 first = commitmentOf(42);
        bytes32 id = stakes.groupId(1);
        vm.expectEmit(address(stakes));
        emit IStake.Staked(id, buyer, first, 1, 0, 1, limitOf(1));
        stake(1, first);
        assertEq(stakes.lockOf(last).leaf, (1 << 21) - 1, "last of the first volume");
        assertEq(stakes.lockOf(first).leaf, 1 << 21, "first of the second");

        vm.expectEmit(address(stakes));
        emit IStake.ExitRequested(id, buyer, first, 1, 0, limitOf(1), block.timestamp + COOLDOWN);
        requestExit(first);
        vm.expectEmit(address(stakes));
        emit IStake.Slashed(id, reporter, first, 1, 0, limitOf(1), 42);
        stakes.slash(42, reporter);
        vm.expectEmit(address(stakes));
        emit IStake.Slashed(id, reporter, last, 0, (1 << 21) - 1, limitOf(1), 41);
        stakes.slash(41, reporter);
    }

    function test_stake_isRefusedWhenAGroupIsFull() public {
        stake(1, 1);
        setLeaves(1, type(uint32).max);
        vm.expectRevert(stdError.arithmeticError);
        stake(1, 2);
    }

    function setLeaves(uint32 tier, uint32 leaves) internal {
        bytes32 slot = bytes32(uint256(keccak256(abi.encode(stakes.groupId(tier), uint256(0)))) + 1);
        vm.store(address(stakes), slot, bytes32(uint256(leaves)));
        assertEq(stakes.groupOf(stakes.groupId(tier)).leaves, leaves, "the layout is as assumed");
    }

    function test_stake_keepsTheChainWhereStorageProofsLook() public {
        stake(2, 4);
        bytes32 stored = vm.load(address(stakes), keccak256(abi.encode(stakes.groupId(2), uint256(0))));
        assertEq(stored, chainOf(2), "slot 0, first word");
    }

    function test_stake_refusesCommitmentsOutsideTheField(uint256 commitment) public {
        commitment = bound(commitment, FIELD, type(uint256).max);
        vm.expectRevert(IStake.InvalidCommitment.selector);
        stake(1, commitment);
    }

    function test_stake_refusesCommitmentsAtTheFieldsEdges() public {
        vm.expectRevert(IStake.InvalidCommitment.selector);
        stake(1, 0);
        vm.expectRevert(IStake.InvalidCommitment.selector);
        stake(1, FIELD);
        stake(1, FIELD - 1);
        stake(1, 1);
    }

    /// @dev Neither in its tier nor in another, neither while it is staked nor ever after.
    function test_stake_refusesACommitmentUsedBefore() public {
        uint256 withdrawn = stakeWithSecret(1, 41);
        uint256 slashed = stakeWithSecret(1, 42);
        checkUsed(withdrawn);
        checkUsed(slashed);
        requestExit(withdrawn);
        checkUsed(withdrawn);
        stakes.slash(42, reporter);
        checkUsed(slashed);
        vm.warp(block.timestamp + COOLDOWN);
        stakes.withdraw(withdrawn);
        checkUsed(withdrawn);
    }

    function checkUsed(uint256 commitment) internal {
        for (uint32 tier = 1; tier <= 2; tier++) {
            vm.expectRevert(IStake.CommitmentUsed.selector);
            stake(tier, commitment);
        }
    }

    function test_stake_needsAllowanceAndBalance() public {
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(stakes), 0, 100 ether)
        );
        vm.prank(stranger);
        stakes.stake(1, 7);

        vm.startPrank(stranger);
        token.approve(address(stakes), type(uint256).max);
        vm.expectPartialRevert(IERC20Errors.ERC20InsufficientBalance.selector);
        stakes.stake(1, 7);
        vm.stopPrank();
        assertEq(stakes.lockOf(7).tier, 0, "nothing is recorded");
    }

    function test_tokensThatMoveAnotherAmountAreRefused() public {
        for (int256 fee = -1; fee <= 1; fee += 2) {
            FeeToken wrong = new FeeToken(fee);
            stakes = deployStake(address(deployPostage(address(wrong))));
            wrong.mint(buyer, 1000 ether);
            vm.startPrank(buyer);
            wrong.approve(address(stakes), 1000 ether);
            vm.expectRevert(IStake.TokenMovedOtherAmount.selector);
            stakes.stake(1, 7);
            vm.stopPrank();
        }
    }
}

contract StakePermitTest is StakeBase {
    function setUp() public override {
        super.setUp();
        vm.prank(buyer);
        token.approve(address(stakes), 0);
    }

    function test_stakeWithPermit_needsNoAllowance(uint256 tierSeed) public {
        uint32 tier = boundTier(tierSeed);
        (uint8 v, bytes32 r, bytes32 s) = signPermit(address(stakes), amountOf(tier), block.timestamp);
        vm.prank(buyer);
        stakes.stakeWithPermit(tier, 7, block.timestamp, v, r, s);
        assertEq(stakes.lockOf(7).staker, buyer, "staked");
        assertEq(token.allowance(buyer, address(stakes)), 0, "nothing is left allowed");
    }

    function test_stakeWithPermit_survivesThatSomebodyElseUsedThePermit() public {
        (uint8 v, bytes32 r, bytes32 s) = signPermit(address(stakes), amountOf(1), block.timestamp);
        vm.prank(stranger);
        token.permit(buyer, address(stakes), amountOf(1), block.timestamp, v, r, s);
        vm.prank(buyer);
        stakes.stakeWithPermit(1, 7, block.timestamp, v, r, s);
        assertEq(stakes.lockOf(7).staker, buyer, "staked");
    }

    function test_stakeWithPermit_fallsBackToTheAllowance() public {
        vm.startPrank(buyer);
        token.approve(address(stakes), amountOf(1));
        stakes.stakeWithPermit(1, 7, 0, 27, 0, 0);
        vm.stopPrank();
        assertEq(stakes.lockOf(7).staker, buyer, "staked");
    }

    /// @dev A permit is worth nothing to anybody but its owner, nor for anything but the tier it was signed for.
    function test_stakeWithPermit_withAnotherPermitStakesNothing() public {
        (uint8 v, bytes32 r, bytes32 s) = signPermit(address(stakes), amountOf(1), block.timestamp);
        uint256 before = token.balanceOf(buyer);
        vm.expectPartialRevert(IERC20Errors.ERC20InsufficientAllowance.selector);
        vm.prank(stranger);
        stakes.stakeWithPermit(1, 7, block.timestamp, v, r, s);
        vm.expectPartialRevert(IERC20Errors.ERC20InsufficientAllowance.selector);
        vm.prank(buyer);
        stakes.stakeWithPermit(2, 7, block.timestamp, v, r, s);
        assertEq(token.balanceOf(buyer), before, "nobody paid anything");
    }
}

contract StakeExitTest is StakeBase {
    function test_requestExit_takesTheLeafOutAtOnce(uint256 tierSeed) public {
        uint32 tier = boundTier(tierSeed);
        uint256 from = block.timestamp + COOLDOWN;
        stake(tier, 7);
        vm.expectEmit(address(stakes));
        emit IStake.ExitRequested(stakes.groupId(tier), buyer, 7, 0, 0, limitOf(tier), from);
        requestExit(7);
        assertEq(chainOf(tier), link(link(0, 1, 7, limitOf(tier)), 2, 7, limitOf(tier)), "chain");
        assertEq(stakes.groupOf(stakes.groupId(tier)).leaves, 1, "leaves are numbers, and never given twice");
        IStake.Lock memory lock = stakes.lockOf(7);
        assertEq(lock.withdrawableFrom, from, "from");
        assertEq(lock.staker, buyer, "still locked");
    }

    function test_requestExit_isTheStakersAlone(address caller) public {
        vm.assume(caller != buyer);
        stake(1, 7);
        vm.expectRevert(IStake.NotStaker.selector);
        vm.prank(caller);
        stakes.requestExit(7);
    }

    function test_requestExit_happensOnce() public {
        stake(1, 7);
        requestExit(7);
        uint256 from = stakes.lockOf(7).withdrawableFrom;
        vm.warp(from - 1);
        vm.expectRevert(abi.encodeWithSelector(IStake.ExitAlreadyRequested.selector, from));
        requestExit(7);
    }

    function test_withdraw_paysTheStakerWhoeverCalls(uint256 tierSeed) public {
        uint32 tier = boundTier(tierSeed);
        uint256 before = token.balanceOf(buyer);
        stake(tier, 7);
        requestExit(7);
        bytes32 chain = chainOf(tier);
        vm.warp(block.timestamp + COOLDOWN);
        vm.expectEmit(address(stakes));
        emit IStake.StakeReturned(7, buyer, amountOf(tier));
        vm.prank(stranger);
        stakes.withdraw(7);
        assertEq(token.balanceOf(buyer), before, "the whole amount is back");
        assertEq(stakes.lockOf(7).staker, address(0), "gone");
        assertEq(chainOf(tier), chain, "the leaf left before");
    }

    function test_withdraw_waitsSevenDaysAfterTheRequest() public {
        stake(1, 7);
        vm.warp(block.timestamp + 1000 days);
        vm.expectRevert(IStake.NoExit.selector);
        stakes.withdraw(7);
        requestExit(7);
        uint256 from = block.timestamp + COOLDOWN;
        vm.expectRevert(abi.encodeWithSelector(IStake.TooEarly.selector, from));
        stakes.withdraw(7);
        vm.warp(from - 1);
        vm.expectRevert(abi.encodeWithSelector(IStake.TooEarly.selector, from));
        stakes.withdraw(7);
        vm.warp(from);
        stakes.withdraw(7);
    }

    function test_withdraw_happensOnce() public {
        stake(1, 7);
        stake(1, 8);
        requestExit(7);
        vm.warp(block.timestamp + COOLDOWN);
        stakes.withdraw(7);
        vm.expectRevert(IStake.StakeGone.selector);
        stakes.withdraw(7);
        vm.expectRevert(IStake.StakeGone.selector);
        requestExit(7);
    }

    function test_unknownStakesAreRefused(uint256 commitment) public {
        vm.expectRevert(IStake.UnknownStake.selector);
        stakes.withdraw(commitment);
        vm.expectRevert(IStake.UnknownStake.selector);
        requestExit(commitment);
    }
}

contract StakeSlashTest is StakeBase {
    function test_slash_creditsATenthAndBurnsTheRest(uint256 secret, uint256 tierSeed) public {
        secret = bound(secret, 0, FIELD - 1);
        uint32 tier = boundTier(tierSeed);
        uint256 commitment = stakeWithSecret(tier, secret);
        vm.expectEmit(address(stakes));
        emit IStake.Slashed(stakes.groupId(tier), reporter, commitment, 0, 0, limitOf(tier), secret);
        vm.prank(stranger);
        stakes.slash(secret, reporter);

        assertEq(stakes.credits(reporter), amountOf(tier) / 10, "credit");
        assertEq(SUPPLY - token.totalSupply(), amountOf(tier) * 9 / 10, "burned");
        assertEq(stakes.lockOf(commitment).staker, address(0), "gone");
        bytes32 chain = link(link(0, 1, commitment, limitOf(tier)), 3, commitment, limitOf(tier));
        assertEq(chainOf(tier), chain, "chain");
    }

    function test_slash_roundsTheRewardDown() public {
        IStake.Tier[] memory tiers = new IStake.Tier[](1);
        tiers[0] = IStake.Tier(19, 1);
        stakes = IStake(address(new Stake(address(postage), tiers)));
        vm.prank(buyer);
        token.approve(address(stakes), 19);
        stakeWithSecret(1, 42);
        stakes.slash(42, reporter);
        assertEq(stakes.credits(reporter), 1, "credit");
        assertEq(SUPPLY - token.totalSupply(), 18, "burned");
    }

    /// @dev What was shown under a root from before the exit must not go unpunished.
    function test_slash_reachesAStakeThatIsLeaving() public {
        uint256 commitment = stakeWithSecret(1, 42);
        requestExit(commitment);
        bytes32 chain = chainOf(1);
        vm.warp(block.timestamp + COOLDOWN + 1000 days);
        stakes.slash(42, reporter);
        assertEq(stakes.credits(reporter), amountOf(1) / 10, "credit");
        assertEq(chainOf(1), link(chain, 3, commitment, limitOf(1)), "the slash is on the log, though the leaf is gone");
        vm.expectRevert(IStake.StakeGone.selector);
        stakes.withdraw(commitment);
    }

    function test_slash_isTooLateOnceTheStakeWasWithdrawn() public {
        uint256 commitment = stakeWithSecret(1, 42);
        requestExit(commitment);
        vm.warp(block.timestamp + COOLDOWN);
        stakes.withdraw(commitment);
        vm.expectRevert(IStake.StakeGone.selector);
        stakes.slash(42, reporter);
    }

    function test_slash_happensOnceAndLeavesNothing() public {
        uint256 commitment = stakeWithSecret(1, 42);
        stakes.slash(42, reporter);
        vm.expectRevert(IStake.StakeGone.selector);
        stakes.slash(42, stranger);
        vm.expectRevert(IStake.StakeGone.selector);
        requestExit(commitment);
    }

    function test_slash_ofOnesOwnIsNoWayAroundTheLock() public {
        uint256 before = token.balanceOf(buyer);
        stakeWithSecret(2, 42);
        vm.startPrank(buyer);
        stakes.slash(42, buyer);
        stakes.withdrawCredit();
        vm.stopPrank();
        assertEq(before - token.balanceOf(buyer), amountOf(2) * 9 / 10, "nine tenths are lost");
    }

    function test_slash_refusesSecretsOfNoStake(uint256 secret) public {
        secret = bound(secret, 0, FIELD - 1);
        vm.assume(secret != 42);
        stakeWithSecret(1, 42);
        vm.expectRevert(IStake.UnknownStake.selector);
        stakes.slash(secret, reporter);
    }

    /// @dev The secret of a book slashes the book, and only that.
    function test_slash_refusesSecretsOfBooks() public {
        buyWithSecret(1, 1, 42);
        vm.expectRevert(IStake.UnknownStake.selector);
        stakes.slash(42, reporter);
    }

    /// @dev Else a secret would have several names, and so would what was slashed.
    function test_slash_refusesSecretsOutsideTheField() public {
        stakeWithSecret(1, 42);
        vm.expectRevert(IStake.InvalidSecret.selector);
        stakes.slash(FIELD + 42, reporter);
        stakeWithSecret(1, 0);
        vm.expectRevert(IStake.InvalidSecret.selector);
        stakes.slash(FIELD, reporter);
        vm.expectRevert(IStake.InvalidSecret.selector);
        stakes.slash(type(uint256).max, reporter);
    }

    function test_slash_withoutAReporterBurnsAll() public {
        stakeWithSecret(1, 42);
        stakes.slash(42, address(0));
        assertEq(stakes.credits(address(0)), 0, "no credit");
        assertEq(SUPPLY - token.totalSupply(), amountOf(1), "burned");
    }

    function test_withdrawCredit_paysTheCreditOnce() public {
        stakeWithSecret(1, 41);
        stakeWithSecret(2, 42);
        stakes.slash(41, reporter);
        stakes.slash(42, reporter);
        uint256 credit = (amountOf(1) + amountOf(2)) / 10;
        vm.expectEmit(address(stakes));
        emit IStake.CreditWithdrawn(reporter, credit);
        vm.startPrank(reporter);
        stakes.withdrawCredit();
        assertEq(token.balanceOf(reporter), credit, "paid");
        vm.expectRevert(IStake.NothingDue.selector);
        stakes.withdrawCredit();
        vm.stopPrank();
    }
}

/// @dev The token calls back into every function from within every function that moves it: each is refused.
contract StakeReentryTest is StakeBase {
    ReentrantToken internal rogue;

    function setUp() public override {
        super.setUp();
        rogue = new ReentrantToken();
        stakes = deployStake(address(deployPostage(address(rogue))));
        rogue.mint(buyer, 10_000 ether);
        vm.prank(buyer);
        rogue.approve(address(stakes), type(uint256).max);
        // The token itself is a customer, so that what calls back has something to gain.
        rogue.mint(address(rogue), 10_000 ether);
        rogue.act(address(rogue), abi.encodeCall(IXmtpToken.approve, (address(stakes), type(uint256).max)));
        rogue.act(address(stakes), abi.encodeCall(IStake.stake, (1, commitmentOf(41))));
    }

    function callbacks() internal pure returns (bytes[6] memory) {
        return [
            abi.encodeCall(IStake.stake, (1, 99)),
            abi.encodeCall(IStake.stakeWithPermit, (1, 99, 0, 27, 0, 0)),
            abi.encodeCall(IStake.requestExit, (commitmentOf(41))),
            abi.encodeCall(IStake.withdraw, (commitmentOf(41))),
            abi.encodeCall(IStake.slash, (41, address(1))),
            abi.encodeCall(IStake.withdrawCredit, ())
        ];
    }

    /// @dev Makes `call` as `caller` with every callback armed, and then with none.
    function check(address caller, bytes memory call) internal {
        bytes[6] memory armed = callbacks();
        for (uint256 index = 0; index < armed.length; index++) {
            rogue.arm(address(stakes), armed[index]);
            vm.prank(caller);
            (bool success, bytes memory answer) = address(stakes).call(call);
            assertFalse(success, "refused");
            assertEq(bytes4(answer), ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector, "as re-entry");
        }
        rogue.arm(address(0), "");
        vm.prank(caller);
        (bool alone,) = address(stakes).call(call);
        assertTrue(alone, "alone it succeeds");
    }

    function test_noFunctionIsReentered() public {
        check(buyer, abi.encodeCall(IStake.stake, (1, commitmentOf(42))));
        check(buyer, abi.encodeCall(IStake.stakeWithPermit, (2, 7, 0, 27, 0, 0)));
        check(stranger, abi.encodeCall(IStake.slash, (42, reporter)));
        check(reporter, abi.encodeCall(IStake.withdrawCredit, ()));
        requestExit(7);
        rogue.act(address(stakes), abi.encodeCall(IStake.requestExit, (commitmentOf(41))));
        vm.warp(block.timestamp + COOLDOWN);
        check(stranger, abi.encodeCall(IStake.withdraw, (7)));
        stakes.withdraw(commitmentOf(41));
        assertEq(rogue.balanceOf(address(stakes)), 0, "every wei has left as it should");
    }
}
