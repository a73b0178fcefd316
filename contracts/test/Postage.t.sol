// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {stdError} from "forge-std/StdError.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {Postage} from "../src/Postage.sol";
import {IPostage} from "../src/interfaces/IPostage.sol";
import {IXmtpToken} from "../src/interfaces/IXmtpToken.sol";
import {Base} from "./Base.t.sol";
import {FeeToken} from "./mocks/FeeToken.sol";
import {ReentrantToken} from "./mocks/ReentrantToken.sol";

contract PostageDeploymentTest is Base {
    function test_theParametersAreThoseOfTheDeployment() public view {
        assertEq(postage.TOKEN(), address(token), "token");
        assertEq(postage.SETTLEMENT(), settlement, "settlement");
        assertEq(postage.UNIT_PRICE(), UNIT_PRICE, "unit price");
        assertEq(postage.ISSUE_SECONDS(), ISSUE_SECONDS, "issue");
        assertEq(postage.BURN_BPS(), BURN_BPS, "burned share");
        assertEq(postage.BOND_BPS(), BOND_BPS, "bond");
        assertEq(
            postage.networkId(),
            keccak256(bytes.concat("xmtp/network/1", bytes8(uint64(block.chainid)), bytes20(address(postage)))),
            "network id"
        );
    }

    function check(address token_, address settlement_, uint96 price, uint32 issue, uint16 burn, uint16 bond) internal {
        vm.expectRevert(IPostage.InvalidParameters.selector);
        new Postage(token_, settlement_, price, issue, burn, bond);
    }

    function test_parametersOutOfRangeAreRefused() public {
        check(stranger, settlement, UNIT_PRICE, ISSUE_SECONDS, BURN_BPS, BOND_BPS);
        check(address(token), address(0), UNIT_PRICE, ISSUE_SECONDS, BURN_BPS, BOND_BPS);
        check(address(token), settlement, 0, ISSUE_SECONDS, BURN_BPS, BOND_BPS);
        check(address(token), settlement, UNIT_PRICE, 0, BURN_BPS, BOND_BPS);
        check(address(token), settlement, UNIT_PRICE, 366 days + 1, BURN_BPS, BOND_BPS);
        check(address(token), settlement, UNIT_PRICE, ISSUE_SECONDS, 2999, BOND_BPS);
        check(address(token), settlement, UNIT_PRICE, ISSUE_SECONDS, 10_001, BOND_BPS);
        check(address(token), settlement, UNIT_PRICE, ISSUE_SECONDS, BURN_BPS, 0);
        check(address(token), settlement, UNIT_PRICE, ISSUE_SECONDS, BURN_BPS, 10_001);
    }

    function test_parametersAtTheirEdgesAreAccepted() public {
        new Postage(address(token), settlement, 1, 1, 3000, 1);
        new Postage(address(token), settlement, type(uint96).max, 366 days, 10_000, 10_000);
    }

    /// @dev Even the dearest book of the dearest deployment overflows nothing but the buyer's purse.
    function test_noPriceOverflows() public {
        IPostage dear =
            IPostage(address(new Postage(address(token), settlement, type(uint96).max, 366 days, 3000, 10_000)));
        (uint256 value, uint256 bond) = dear.quote(500, MAX_COUNT);
        assertEq(value, uint256(type(uint96).max) * 500 * MAX_COUNT, "value");
        assertEq(bond, value, "bond");
    }

    function test_sharesAreRoundedAgainstTheBuyer() public {
        IPostage cheap = IPostage(address(new Postage(address(token), settlement, 1, ISSUE_SECONDS, 3333, 1)));
        (uint256 value, uint256 bond) = cheap.quote(1, 1);
        assertEq(value, 1, "value");
        assertEq(bond, 1, "bond, rounded up");
        vm.startPrank(buyer);
        token.approve(address(cheap), 2);
        cheap.buy(1, 1, 7);
        vm.stopPrank();
        assertEq(token.totalSupply(), SUPPLY - 1, "burned, rounded up");
        assertEq(cheap.groupOf(cheap.groupId(1, cheap.currentIssue())).held, 0, "held");
    }

    /// @dev Whatever a deployment was told: both shares are the least that is enough, and nothing is lost between them.
    /// forge-config: merge.fuzz.runs = 10000
    function test_everyShareIsExact(
        uint256 price,
        uint256 burn,
        uint256 bondShare,
        uint256 denominationSeed,
        uint256 countSeed
    ) public {
        (price, burn, bondShare) = (bound(price, 1, 10 ether), bound(burn, 3000, 10_000), bound(bondShare, 1, 10_000));
        postage = IPostage(
            address(
                new Postage(address(token), settlement, uint96(price), ISSUE_SECONDS, uint16(burn), uint16(bondShare))
            )
        );
        vm.prank(buyer);
        token.approve(address(postage), type(uint256).max);
        uint32 denomination = boundDenomination(denominationSeed);
        uint32 count = boundCount(countSeed);
        uint256 value = price * denomination * count;
        uint256 before = token.balanceOf(buyer);
        buy(denomination, count, 7);

        uint256 burned = SUPPLY - token.totalSupply();
        uint256 bond = before - token.balanceOf(buyer) - value;
        checkShare(burned, value, burn, "burned");
        checkShare(bond, value, bondShare, "bond");
        assertEq(postage.groupOf(currentGroup(denomination)).held, value - burned, "held");
        assertEq(token.balanceOf(address(postage)), value - burned + bond, "balance");
    }

    /// @dev `part` is the least that is not below `bps` of `value`.
    function checkShare(uint256 part, uint256 value, uint256 bps, string memory what) internal pure {
        assertGe(part * 10_000, value * bps, what);
        assertLt((part - 1) * 10_000, value * bps, what);
    }
}

contract PostageBuyTest is Base {
    function test_buy_recordsTheBook(uint256 denominationSeed, uint256 countSeed, uint256 commitment) public {
        uint32 denomination = boundDenomination(denominationSeed);
        uint32 count = boundCount(countSeed);
        commitment = bound(commitment, 1, FIELD - 1);
        uint32 issue = postage.currentIssue();
        bytes32 id = postage.groupId(denomination, issue);

        vm.expectEmit(address(postage));
        emit IPostage.Bought(id, buyer, commitment, 0, 0, denomination, issue, count);
        buy(denomination, count, commitment);

        IPostage.Book memory book = postage.bookOf(commitment);
        assertEq(book.buyer, buyer, "buyer");
        assertEq(book.denomination, denomination, "denomination");
        assertEq(book.lastIndex, count - 1, "last index");
        assertEq(book.issue, issue, "issue");
        assertEq(book.leaf, 0, "leaf");
        IPostage.Group memory group = postage.groupOf(id);
        assertEq(group.chain, link(0, 1, commitment, count), "chain");
        assertEq(group.stamps, count, "stamps");
        assertEq(group.leaves, 1, "leaves");
    }

    function test_buy_takesValueAndBondAndBurnsItsShare(uint256 denominationSeed, uint256 countSeed) public {
        uint32 denomination = boundDenomination(denominationSeed);
        uint32 count = boundCount(countSeed);
        uint256 value = valueOf(denomination, count);
        uint256 before = token.balanceOf(buyer);
        buy(denomination, count, 7);
        assertEq(before - token.balanceOf(buyer), value + value / 10, "paid");
        assertEq(SUPPLY - token.totalSupply(), value * 3 / 10, "burned");
        assertEq(postage.groupOf(currentGroup(denomination)).held, value * 7 / 10, "held");
        assertEq(token.balanceOf(address(postage)), value * 7 / 10 + value / 10, "balance");
    }

    function test_buy_appendsToTheGroup() public {
        buy(5, 10, 1);
        buy(5, 20, 2);
        buy(10, 30, 3);
        assertEq(postage.bookOf(2).leaf, 1, "second leaf of its group");
        assertEq(postage.bookOf(3).leaf, 0, "first leaf of another");
        IPostage.Group memory group = postage.groupOf(currentGroup(5));
        assertEq(group.chain, link(link(0, 1, 1, 10), 1, 2, 20), "chain");
        assertEq(group.stamps, 30, "stamps");
        assertEq(group.leaves, 2, "leaves");
    }

    function test_buy_startsANewGroupWithEachIssue() public {
        uint32 issue = postage.currentIssue();
        buy(1, 1, 1);
        vm.warp(uint256(issue + 1) * ISSUE_SECONDS - 1);
        buy(1, 1, 2);
        assertEq(postage.bookOf(2).issue, issue, "the last second");
        assertEq(postage.bookOf(2).leaf, 1, "second leaf");
        vm.warp(block.timestamp + 1);
        buy(1, 1, 3);
        assertEq(postage.bookOf(3).issue, issue + 1, "the next");
        assertEq(postage.bookOf(3).leaf, 0, "first leaf");
    }

    /// @dev Two million purchases are beyond a test; the count of leaves is set where it is stored.
    function test_buy_goesOnInTheNextVolume() public {
        buy(1, 1, 1);
        setLeaves(currentGroup(1), (1 << 21) - 1);
        buy(1, 1, 2);
        vm.expectEmit(address(postage));
        emit IPostage.Bought(currentGroup(1), buyer, 3, 1, 0, 1, postage.currentIssue(), 1);
        buy(1, 1, 3);
        assertEq(postage.bookOf(2).leaf, (1 << 21) - 1, "last of the first volume");
        assertEq(postage.bookOf(3).leaf, 1 << 21, "first of the second");
    }

    function test_slash_namesTheVolume() public {
        buy(1, 1, 1);
        setLeaves(currentGroup(1), (1 << 21) - 1);
        uint256 last = buyWithSecret(1, 2, 41);
        uint256 first = buyWithSecret(1, 3, 42);
        vm.expectEmit(address(postage));
        emit IPostage.Slashed(currentGroup(1), reporter, last, 0, (1 << 21) - 1, 2, 41);
        postage.slash(41, reporter);
        vm.expectEmit(address(postage));
        emit IPostage.Slashed(currentGroup(1), reporter, first, 1, 0, 3, 42);
        postage.slash(42, reporter);
    }

    function test_buy_isRefusedWhenAGroupIsFull() public {
        buy(1, 1, 1);
        setLeaves(currentGroup(1), type(uint32).max);
        vm.expectRevert(stdError.arithmeticError);
        buy(1, 1, 2);
    }

    /// @dev The second word of a group: held (160 bits), stamps (64), leaves (32) from the low end.
    function setLeaves(bytes32 group, uint32 leaves) internal {
        bytes32 slot = bytes32(uint256(keccak256(abi.encode(group, uint256(0)))) + 1);
        uint256 word = uint256(vm.load(address(postage), slot));
        vm.store(address(postage), slot, bytes32(word & type(uint224).max | uint256(leaves) << 224));
        assertEq(postage.groupOf(group).leaves, leaves, "the layout is as assumed");
    }

    function test_buy_keepsTheChainWhereStorageProofsLook() public {
        buy(2, 3, 4);
        bytes32 id = currentGroup(2);
        bytes32 stored = vm.load(address(postage), keccak256(abi.encode(id, uint256(0))));
        assertEq(stored, postage.groupOf(id).chain, "slot 0, first word");
    }

    function test_buy_refusesOtherDenominations(uint32 denomination) public {
        uint32[9] memory known = denominations();
        for (uint256 index = 0; index < known.length; index++) {
            vm.assume(denomination != known[index]);
        }
        vm.expectRevert(IPostage.InvalidDenomination.selector);
        buy(denomination, 1, 7);
    }

    function test_buy_refusesCountsOutOfRange() public {
        vm.expectRevert(IPostage.InvalidCount.selector);
        buy(1, 0, 7);
        vm.expectRevert(IPostage.InvalidCount.selector);
        buy(1, MAX_COUNT + 1, 7);
        vm.expectRevert(IPostage.InvalidCount.selector);
        buy(1, type(uint32).max, 7);
        buy(1, MAX_COUNT, 7);
        assertEq(postage.bookOf(7).lastIndex, 65_535, "the largest book");
    }

    function test_buy_refusesCommitmentsOutsideTheField(uint256 commitment) public {
        commitment = bound(commitment, FIELD, type(uint256).max);
        vm.expectRevert(IPostage.InvalidCommitment.selector);
        buy(1, 1, commitment);
    }

    function test_buy_refusesCommitmentsAtTheFieldsEdges() public {
        vm.expectRevert(IPostage.InvalidCommitment.selector);
        buy(1, 1, 0);
        vm.expectRevert(IPostage.InvalidCommitment.selector);
        buy(1, 1, FIELD);
        buy(1, 1, FIELD - 1);
        buy(1, 1, 1);
    }

    function test_buy_refusesACommitmentUsedBefore() public {
        buy(1, 1, 7);
        vm.expectRevert(IPostage.CommitmentUsed.selector);
        buy(1, 1, 7);
        vm.expectRevert(IPostage.CommitmentUsed.selector);
        buy(500, 2, 7);
        vm.warp(block.timestamp + ISSUE_SECONDS);
        vm.expectRevert(IPostage.CommitmentUsed.selector);
        buy(1, 1, 7);
    }

    function test_buy_refusesACommitmentThatWasSlashed() public {
        uint256 commitment = buyWithSecret(1, 10, 42);
        postage.slash(42, reporter);
        vm.expectRevert(IPostage.CommitmentUsed.selector);
        buy(1, 10, commitment);
    }

    function test_buy_refusesACommitmentWhoseBondReturned() public {
        buy(1, 10, 7);
        vm.warp(postage.validUntil(postage.currentIssue()) + 14 days);
        postage.returnBond(7);
        vm.expectRevert(IPostage.CommitmentUsed.selector);
        buy(1, 10, 7);
    }

    function test_buy_needsAllowanceAndBalance() public {
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(postage), 0, 0.0011 ether)
        );
        vm.prank(stranger);
        postage.buy(1, 1, 7);

        vm.startPrank(stranger);
        token.approve(address(postage), type(uint256).max);
        vm.expectPartialRevert(IERC20Errors.ERC20InsufficientBalance.selector);
        postage.buy(1, 1, 7);
        vm.stopPrank();
        assertEq(postage.bookOf(7).denomination, 0, "nothing is recorded");
    }

    function test_quote_isValueAndBond(uint256 denominationSeed, uint256 countSeed) public view {
        uint32 denomination = boundDenomination(denominationSeed);
        uint32 count = boundCount(countSeed);
        (uint256 value, uint256 bond) = postage.quote(denomination, count);
        assertEq(value, valueOf(denomination, count), "value");
        assertEq(bond, value / 10, "bond");
    }

    function test_tokensThatMoveAnotherAmountAreRefused() public {
        for (int256 fee = -1; fee <= 1; fee += 2) {
            FeeToken wrong = new FeeToken(fee);
            postage = deployPostage(address(wrong));
            wrong.mint(buyer, 1 ether);
            vm.startPrank(buyer);
            wrong.approve(address(postage), 1 ether);
            vm.expectRevert(IPostage.TokenMovedOtherAmount.selector);
            postage.buy(1, 1, 7);
            vm.expectRevert(IPostage.TokenMovedOtherAmount.selector);
            postage.depositFor(wallet, operator, 100, 100);
            vm.stopPrank();
        }
    }
}

contract PostagePermitTest is Base {
    function setUp() public override {
        super.setUp();
        vm.prank(buyer);
        token.approve(address(postage), 0);
    }

    function costOf(uint32 denomination, uint32 count) internal view returns (uint256) {
        (uint256 value, uint256 bond) = postage.quote(denomination, count);
        return value + bond;
    }

    function test_buyWithPermit_needsNoAllowance(uint256 denominationSeed, uint256 countSeed) public {
        uint32 denomination = boundDenomination(denominationSeed);
        uint32 count = boundCount(countSeed);
        (uint8 v, bytes32 r, bytes32 s) = signPermit(costOf(denomination, count), block.timestamp);
        vm.prank(buyer);
        postage.buyWithPermit(denomination, count, 7, block.timestamp, v, r, s);
        assertEq(postage.bookOf(7).buyer, buyer, "bought");
        assertEq(token.allowance(buyer, address(postage)), 0, "nothing is left allowed");
    }

    function test_buyWithPermit_survivesThatSomebodyElseUsedThePermit() public {
        (uint8 v, bytes32 r, bytes32 s) = signPermit(costOf(5, 10), block.timestamp);
        vm.prank(stranger);
        token.permit(buyer, address(postage), costOf(5, 10), block.timestamp, v, r, s);
        vm.prank(buyer);
        postage.buyWithPermit(5, 10, 7, block.timestamp, v, r, s);
        assertEq(postage.bookOf(7).buyer, buyer, "bought");
    }

    function test_buyWithPermit_fallsBackToTheAllowance() public {
        vm.startPrank(buyer);
        token.approve(address(postage), costOf(5, 10));
        postage.buyWithPermit(5, 10, 7, 0, 27, 0, 0);
        vm.stopPrank();
        assertEq(postage.bookOf(7).buyer, buyer, "bought");
    }

    function checkNoAllowance(uint256 deadline, uint8 v, bytes32 r, bytes32 s) internal {
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(postage), 0, costOf(5, 10))
        );
        vm.prank(buyer);
        postage.buyWithPermit(5, 10, 7, deadline, v, r, s);
    }

    function test_buyWithPermit_withAnotherPermitBuysNothing() public {
        (uint8 v, bytes32 r, bytes32 s) = signPermit(costOf(5, 10) - 1, block.timestamp);
        checkNoAllowance(block.timestamp, v, r, s);
        (v, r, s) = signPermit(costOf(5, 10), block.timestamp - 1);
        checkNoAllowance(block.timestamp - 1, v, r, s);
        checkNoAllowance(block.timestamp, 27, 0, 0);
    }

    function test_buyWithPermit_refusesWhatBuyRefuses() public {
        vm.startPrank(buyer);
        vm.expectRevert(IPostage.InvalidDenomination.selector);
        postage.buyWithPermit(3, 1, 7, 0, 27, 0, 0);
        vm.expectRevert(IPostage.InvalidCount.selector);
        postage.buyWithPermit(1, 0, 7, 0, 27, 0, 0);
        vm.expectRevert(IPostage.InvalidCommitment.selector);
        postage.buyWithPermit(1, 1, FIELD, 0, 27, 0, 0);
        vm.stopPrank();
    }

    /// @dev A permit is worth nothing to anybody but its owner.
    function test_buyWithPermit_ofAnotherPaysNothing() public {
        (uint8 v, bytes32 r, bytes32 s) = signPermit(costOf(5, 10), block.timestamp);
        uint256 before = token.balanceOf(buyer);
        vm.expectPartialRevert(IERC20Errors.ERC20InsufficientAllowance.selector);
        vm.prank(stranger);
        postage.buyWithPermit(5, 10, 7, block.timestamp, v, r, s);
        assertEq(token.balanceOf(buyer), before, "the owner paid nothing");
    }
}

contract PostageBondTest is Base {
    function test_slash_creditsATenthAndBurnsTheRest(uint256 secret, uint256 denominationSeed, uint256 countSeed)
        public
    {
        secret = bound(secret, 0, FIELD - 1);
        uint32 denomination = boundDenomination(denominationSeed);
        uint32 count = boundCount(countSeed);
        uint256 commitment = buyWithSecret(denomination, count, secret);
        uint256 supply = token.totalSupply();
        (, uint256 bond) = postage.quote(denomination, count);

        vm.expectEmit(address(postage));
        emit IPostage.Slashed(currentGroup(denomination), reporter, commitment, 0, 0, count, secret);
        vm.prank(stranger);
        postage.slash(secret, reporter);

        assertEq(postage.credits(reporter), bond / 10, "credit");
        assertEq(supply - token.totalSupply(), bond - bond / 10, "burned");
        assertEq(postage.bookOf(commitment).buyer, address(0), "closed");
        bytes32 chain = link(link(0, 1, commitment, count), 3, commitment, count);
        assertEq(postage.groupOf(currentGroup(denomination)).chain, chain, "chain");
    }

    function test_slash_leavesTheHeldMoneyAndTheCountsAlone() public {
        buyWithSecret(5, 100, 42);
        IPostage.Group memory before = postage.groupOf(currentGroup(5));
        postage.slash(42, reporter);
        IPostage.Group memory group = postage.groupOf(currentGroup(5));
        assertEq(group.held, before.held, "held");
        assertEq(group.stamps, before.stamps, "stamps");
        assertEq(group.leaves, before.leaves, "leaves are numbers, and never given twice");
    }

    function test_slash_namesTheLeafsPlace() public {
        buyWithSecret(5, 1, 41);
        uint256 commitment = buyWithSecret(5, 2, 42);
        vm.warp(block.timestamp + ISSUE_SECONDS);
        bytes32 id = postage.groupId(5, postage.bookOf(commitment).issue);
        vm.expectEmit(address(postage));
        emit IPostage.Slashed(id, reporter, commitment, 0, 1, 2, 42);
        postage.slash(42, reporter);
    }

    function test_slash_happensOnce() public {
        buyWithSecret(5, 10, 42);
        postage.slash(42, reporter);
        vm.expectRevert(IPostage.BondGone.selector);
        postage.slash(42, stranger);
    }

    function test_slash_refusesSecretsOfNoBook(uint256 secret) public {
        secret = bound(secret, 0, FIELD - 1);
        vm.assume(secret != 42);
        buyWithSecret(5, 10, 42);
        vm.expectRevert(IPostage.UnknownBook.selector);
        postage.slash(secret, reporter);
    }

    /// @dev Else a secret would have several names, and so would what was slashed.
    function test_slash_refusesSecretsOutsideTheField() public {
        buyWithSecret(5, 10, 42);
        vm.expectRevert(IPostage.InvalidSecret.selector);
        postage.slash(FIELD + 42, reporter);
        buyWithSecret(5, 10, 0);
        vm.expectRevert(IPostage.InvalidSecret.selector);
        postage.slash(FIELD, reporter);
        vm.expectRevert(IPostage.InvalidSecret.selector);
        postage.slash(type(uint256).max, reporter);
    }

    function test_slash_withoutAReporterBurnsAll() public {
        buyWithSecret(5, 10, 42);
        uint256 supply = token.totalSupply();
        (, uint256 bond) = postage.quote(5, 10);
        postage.slash(42, address(0));
        assertEq(postage.credits(address(0)), 0, "no credit");
        assertEq(supply - token.totalSupply(), bond, "burned");
    }

    /// @dev The bond is there to be slashed as long as it is there.
    function test_slash_reachesBooksThatHaveExpired() public {
        buyWithSecret(5, 10, 42);
        vm.warp(postage.validUntil(postage.currentIssue()) + 1000 days);
        postage.slash(42, reporter);
        assertGt(postage.credits(reporter), 0, "credit");
    }

    function test_slash_isTooLateOnceTheBondReturned() public {
        uint256 commitment = buyWithSecret(5, 10, 42);
        vm.warp(postage.validUntil(postage.currentIssue()) + 14 days);
        postage.returnBond(commitment);
        vm.expectRevert(IPostage.BondGone.selector);
        postage.slash(42, reporter);
    }

    function test_returnBond_paysTheBuyerWhoeverCalls(uint256 denominationSeed, uint256 countSeed) public {
        uint32 denomination = boundDenomination(denominationSeed);
        uint32 count = boundCount(countSeed);
        buy(denomination, count, 7);
        (, uint256 bond) = postage.quote(denomination, count);
        uint256 before = token.balanceOf(buyer);
        vm.warp(postage.validUntil(postage.currentIssue()) + 14 days);
        vm.expectEmit(address(postage));
        emit IPostage.BondReturned(7, buyer, bond);
        vm.prank(stranger);
        postage.returnBond(7);
        assertEq(token.balanceOf(buyer) - before, bond, "paid");
        assertEq(postage.bookOf(7).buyer, address(0), "closed");
    }

    function test_returnBond_waitsForTheEndOfValidityAndFourteenDays() public {
        buy(5, 10, 7);
        uint32 issue = postage.currentIssue();
        uint256 from = uint256(issue + 5) * ISSUE_SECONDS + 14 days;
        vm.expectRevert(abi.encodeWithSelector(IPostage.TooEarly.selector, from));
        postage.returnBond(7);
        vm.warp(from - 1);
        vm.expectRevert(abi.encodeWithSelector(IPostage.TooEarly.selector, from));
        postage.returnBond(7);
        vm.warp(from);
        postage.returnBond(7);
    }

    function test_returnBond_happensOnce() public {
        buy(5, 10, 7);
        vm.warp(postage.validUntil(postage.currentIssue()) + 14 days);
        postage.returnBond(7);
        vm.expectRevert(IPostage.BondGone.selector);
        postage.returnBond(7);
    }

    function test_returnBond_neverFollowsASlash() public {
        uint256 commitment = buyWithSecret(5, 10, 42);
        postage.slash(42, reporter);
        vm.warp(postage.validUntil(postage.currentIssue()) + 14 days);
        vm.expectRevert(IPostage.BondGone.selector);
        postage.returnBond(commitment);
    }

    function test_returnBond_refusesUnknownBooks(uint256 commitment) public {
        vm.expectRevert(IPostage.UnknownBook.selector);
        postage.returnBond(commitment);
    }

    function test_validUntil_isTheEndOfTheFourthIssueAfter(uint32 issue) public view {
        assertEq(postage.validUntil(issue), (uint256(issue) + 5) * ISSUE_SECONDS, "end");
    }
}

contract PostageMoneyTest is Base {
    uint32 internal issue;
    bytes32 internal group;

    function setUp() public override {
        super.setUp();
        issue = postage.currentIssue();
        group = postage.groupId(5, issue);
        buy(5, 100, 7);
    }

    function test_withdraw_paysTheCreditOnce() public {
        buyWithSecret(5, 100, 42);
        postage.slash(42, reporter);
        uint256 credit = postage.credits(reporter);
        vm.expectEmit(address(postage));
        emit IPostage.Withdrawn(reporter, credit);
        vm.startPrank(reporter);
        postage.withdraw();
        assertEq(token.balanceOf(reporter), credit, "paid");
        vm.expectRevert(IPostage.NothingDue.selector);
        postage.withdraw();
        vm.stopPrank();
    }

    function test_release_paysOutOfTheHeldMoney(uint256 amount) public {
        uint256 held = postage.groupOf(group).held;
        amount = bound(amount, 0, held);
        vm.expectEmit(address(postage));
        emit IPostage.Released(group, operator, amount);
        vm.prank(settlement);
        postage.release(issue, 5, operator, amount);
        assertEq(token.balanceOf(operator), amount, "paid");
        assertEq(postage.groupOf(group).held, held - amount, "held");
    }

    function test_release_isTheSettlementContractsAlone(address caller) public {
        vm.assume(caller != settlement);
        vm.expectRevert(IPostage.NotSettlement.selector);
        vm.prank(caller);
        postage.release(issue, 5, caller, 1);
    }

    function test_release_staysWithinItsGroup() public {
        buy(10, 100, 8);
        uint256 held = postage.groupOf(group).held;
        vm.startPrank(settlement);
        vm.expectRevert(abi.encodeWithSelector(IPostage.InsufficientFunds.selector, held));
        postage.release(issue, 5, operator, held + 1);
        vm.expectRevert(abi.encodeWithSelector(IPostage.InsufficientFunds.selector, 0));
        postage.release(issue + 1, 5, operator, 1);
        vm.stopPrank();
    }

    function test_burnExpired_waitsOneHundredAndEightyDays() public {
        uint256 from = uint256(issue + 5) * ISSUE_SECONDS + 180 days;
        vm.warp(from - 1);
        vm.expectRevert(abi.encodeWithSelector(IPostage.TooEarly.selector, from));
        postage.burnExpired(issue, 5);
        vm.warp(from);
        uint256 held = postage.groupOf(group).held;
        uint256 supply = token.totalSupply();
        vm.expectEmit(address(postage));
        emit IPostage.ExpiredBurned(group, held);
        vm.prank(stranger);
        postage.burnExpired(issue, 5);
        assertEq(supply - token.totalSupply(), held, "burned");
        assertEq(postage.groupOf(group).held, 0, "nothing is held");
    }

    function test_burnExpired_happensOnce() public {
        vm.warp(postage.validUntil(issue) + 180 days);
        postage.burnExpired(issue, 5);
        vm.expectRevert(IPostage.NothingDue.selector);
        postage.burnExpired(issue, 5);
        vm.expectRevert(abi.encodeWithSelector(IPostage.InsufficientFunds.selector, 0));
        vm.prank(settlement);
        postage.release(issue, 5, operator, 1);
    }

    function test_burnExpired_leavesBondsAlone() public {
        vm.warp(postage.validUntil(issue) + 180 days);
        postage.burnExpired(issue, 5);
        (, uint256 bond) = postage.quote(5, 100);
        assertEq(token.balanceOf(address(postage)), bond, "the bond is still here");
        postage.returnBond(7);
    }

    function test_burnExpired_ofNothingIsRefused() public {
        vm.warp(postage.validUntil(issue) + 180 days);
        vm.expectRevert(IPostage.NothingDue.selector);
        postage.burnExpired(issue, 500);
    }
}

contract PostageDepositTest is Base {
    uint256 internal constant AMOUNT = 10 ether;
    uint256 internal constant DAILY = 1 ether;

    function deposit(uint256 amount, uint256 daily) internal {
        vm.prank(buyer);
        postage.depositFor(wallet, operator, amount, daily);
    }

    function balanceOf() internal view returns (uint256) {
        return postage.depositOf(buyer, wallet, operator).balance;
    }

    function test_depositFor_recordsTheDeposit(uint128 amount, uint128 daily) public {
        amount = uint128(bound(amount, 1, token.balanceOf(buyer)));
        daily = uint128(bound(daily, 1, type(uint128).max));
        vm.expectEmit(address(postage));
        emit IPostage.Deposited(wallet, operator, buyer, amount, daily);
        deposit(amount, daily);
        IPostage.Deposit memory it = postage.depositOf(buyer, wallet, operator);
        assertEq(it.balance, amount, "balance");
        assertEq(it.daily, daily, "daily");
        assertEq(it.withdrawableFrom, 0, "no notice");
        assertEq(token.balanceOf(address(postage)), amount, "taken");
    }

    function test_depositFor_addsUpAndTakesTheLatestDailyAmount() public {
        deposit(AMOUNT, DAILY);
        deposit(AMOUNT, 2 * DAILY);
        IPostage.Deposit memory it = postage.depositOf(buyer, wallet, operator);
        assertEq(it.balance, 2 * AMOUNT, "balance");
        assertEq(it.daily, 2 * DAILY, "daily");
    }

    /// @dev Who pays a wei into somebody's deposit must not set its daily amount, nor take back its notice.
    function test_depositFor_keepsPayersApart() public {
        deposit(AMOUNT, DAILY);
        vm.startPrank(treasury);
        token.approve(address(postage), 1);
        postage.depositFor(wallet, operator, 1, AMOUNT);
        vm.stopPrank();
        IPostage.Deposit memory it = postage.depositOf(buyer, wallet, operator);
        assertEq(it.balance, AMOUNT, "balance");
        assertEq(it.daily, DAILY, "daily");
        assertEq(postage.depositOf(treasury, wallet, operator).balance, 1, "the other's");
    }

    function test_depositFor_refusesZeros() public {
        vm.startPrank(buyer);
        vm.expectRevert(IPostage.InvalidDeposit.selector);
        postage.depositFor(address(0), operator, 1, 1);
        vm.expectRevert(IPostage.InvalidDeposit.selector);
        postage.depositFor(wallet, address(0), 1, 1);
        vm.expectRevert(IPostage.InvalidDeposit.selector);
        postage.depositFor(wallet, operator, 0, 1);
        vm.expectRevert(IPostage.InvalidDeposit.selector);
        postage.depositFor(wallet, operator, 1, 0);
        vm.stopPrank();
    }

    function test_debit_burnsTheShareAndCreditsTheOperator(uint256 amount) public {
        deposit(AMOUNT, DAILY);
        amount = bound(amount, 1, DAILY);
        uint256 burned = (amount * 3 + 9) / 10;
        vm.expectEmit(address(postage));
        emit IPostage.Debited(wallet, operator, buyer, amount);
        vm.prank(operator);
        postage.debit(buyer, wallet, amount);
        assertEq(balanceOf(), AMOUNT - amount, "balance");
        assertEq(SUPPLY - token.totalSupply(), burned, "burned, rounded up");
        assertEq(postage.credits(operator), amount - burned, "credit");
    }

    function test_debit_isTheNamedOperatorsAlone(address caller) public {
        vm.assume(caller != operator);
        deposit(AMOUNT, DAILY);
        vm.expectRevert(abi.encodeWithSelector(IPostage.InsufficientFunds.selector, 0));
        vm.prank(caller);
        postage.debit(buyer, wallet, 1);
    }

    function test_debit_staysWithinTheDailyAmount() public {
        deposit(AMOUNT, DAILY);
        vm.startPrank(operator);
        postage.debit(buyer, wallet, DAILY - 1);
        vm.expectRevert(abi.encodeWithSelector(IPostage.DailyAmountExceeded.selector, 1));
        postage.debit(buyer, wallet, 2);
        postage.debit(buyer, wallet, 1);
        vm.warp((block.timestamp / 1 days + 1) * 1 days - 1);
        vm.expectRevert(abi.encodeWithSelector(IPostage.DailyAmountExceeded.selector, 0));
        postage.debit(buyer, wallet, 1);
        vm.warp(block.timestamp + 1);
        postage.debit(buyer, wallet, DAILY);
        vm.stopPrank();
    }

    /// @dev Else a wei paid in would cut short the notice that the operator is owed.
    function test_depositFor_neverLowersTheDailyAmountOfWhatIsLeft() public {
        deposit(AMOUNT, DAILY);
        vm.prank(buyer);
        postage.giveNotice(wallet, operator);
        vm.expectRevert(abi.encodeWithSelector(IPostage.DailyAmountLowered.selector, DAILY));
        deposit(1, DAILY - 1);
        deposit(1, DAILY);
        assertEq(balanceOf(), AMOUNT + 1, "the same daily amount will do");
    }

    function test_depositFor_namesAnyDailyAmountOnceTheDepositIsGone() public {
        deposit(AMOUNT, DAILY);
        vm.startPrank(buyer);
        postage.giveNotice(wallet, operator);
        vm.warp(block.timestamp + 7 days);
        postage.returnDeposit(wallet, operator);
        vm.stopPrank();
        deposit(AMOUNT, 1);
        assertEq(postage.depositOf(buyer, wallet, operator).daily, 1, "daily");
    }

    function test_debit_countsWhatWasDebitedBeforeTheDepositWasUsedUp() public {
        deposit(DAILY, DAILY);
        vm.prank(operator);
        postage.debit(buyer, wallet, DAILY);
        deposit(AMOUNT, DAILY / 2);
        vm.expectRevert(abi.encodeWithSelector(IPostage.DailyAmountExceeded.selector, 0));
        vm.prank(operator);
        postage.debit(buyer, wallet, 1);
    }

    function test_debit_staysWithinTheDeposit() public {
        deposit(100, DAILY);
        vm.startPrank(operator);
        vm.expectRevert(abi.encodeWithSelector(IPostage.InsufficientFunds.selector, 100));
        postage.debit(buyer, wallet, 101);
        vm.expectRevert(IPostage.NothingDue.selector);
        postage.debit(buyer, wallet, 0);
        vm.stopPrank();
    }

    function test_returnDeposit_paysTheRestSevenDaysAfterNotice() public {
        deposit(AMOUNT, DAILY);
        uint256 before = token.balanceOf(buyer);
        uint256 from = block.timestamp + 7 days;
        vm.startPrank(buyer);
        vm.expectRevert(IPostage.NoNotice.selector);
        postage.returnDeposit(wallet, operator);
        vm.expectEmit(address(postage));
        emit IPostage.NoticeGiven(wallet, operator, buyer, from);
        postage.giveNotice(wallet, operator);
        vm.stopPrank();

        vm.prank(operator);
        postage.debit(buyer, wallet, DAILY);

        vm.warp(from - 1);
        vm.startPrank(buyer);
        vm.expectRevert(abi.encodeWithSelector(IPostage.TooEarly.selector, from));
        postage.returnDeposit(wallet, operator);
        vm.warp(from);
        vm.expectEmit(address(postage));
        emit IPostage.DepositReturned(wallet, operator, buyer, AMOUNT - DAILY);
        postage.returnDeposit(wallet, operator);
        vm.expectRevert(IPostage.NoNotice.selector);
        postage.returnDeposit(wallet, operator);
        vm.stopPrank();
        assertEq(token.balanceOf(buyer) - before, AMOUNT - DAILY, "paid");
        assertEq(balanceOf(), 0, "empty");
    }

    function test_returnDeposit_ofWhatWasAllDebitedIsRefused() public {
        deposit(DAILY, DAILY);
        vm.prank(buyer);
        postage.giveNotice(wallet, operator);
        vm.prank(operator);
        postage.debit(buyer, wallet, DAILY);
        vm.warp(block.timestamp + 7 days);
        vm.expectRevert(IPostage.NothingDue.selector);
        vm.prank(buyer);
        postage.returnDeposit(wallet, operator);
    }

    function test_giveNotice_isThePayersAndNeedsADeposit() public {
        deposit(AMOUNT, DAILY);
        vm.expectRevert(IPostage.NothingDue.selector);
        vm.prank(wallet);
        postage.giveNotice(wallet, operator);
    }

    function test_giveNotice_startsAnewWhenPaidInAgain() public {
        deposit(AMOUNT, DAILY);
        vm.prank(buyer);
        postage.giveNotice(wallet, operator);
        deposit(1, DAILY);
        vm.warp(block.timestamp + 7 days);
        vm.expectRevert(IPostage.NoNotice.selector);
        vm.prank(buyer);
        postage.returnDeposit(wallet, operator);
    }
}

/// @dev The token calls back into every function from within every function: each is refused.
contract PostageReentryTest is Base {
    ReentrantToken internal rogue;

    function setUp() public override {
        super.setUp();
        rogue = new ReentrantToken();
        postage =
            IPostage(address(new Postage(address(rogue), settlement, UNIT_PRICE, ISSUE_SECONDS, BURN_BPS, BOND_BPS)));
        rogue.mint(buyer, 100 ether);
        // The token itself is a customer, so that what calls back has something to gain.
        rogue.mint(address(rogue), 100 ether);
        rogue.act(address(rogue), abi.encodeCall(IXmtpToken.approve, (address(postage), type(uint256).max)));
        vm.prank(buyer);
        rogue.approve(address(postage), type(uint256).max);
    }

    function callbacks() internal view returns (bytes[11] memory) {
        return [
            abi.encodeCall(IPostage.buy, (1, 1, 99)),
            abi.encodeCall(IPostage.buyWithPermit, (1, 1, 99, 0, 27, 0, 0)),
            abi.encodeCall(IPostage.slash, (42, address(rogue))),
            abi.encodeCall(IPostage.returnBond, (7)),
            abi.encodeCall(IPostage.withdraw, ()),
            abi.encodeCall(IPostage.release, (0, 1, address(rogue), 0)),
            abi.encodeCall(IPostage.burnExpired, (0, 1)),
            abi.encodeCall(IPostage.depositFor, (wallet, address(rogue), 1, 1)),
            abi.encodeCall(IPostage.debit, (buyer, wallet, 1)),
            abi.encodeCall(IPostage.giveNotice, (wallet, operator)),
            abi.encodeCall(IPostage.returnDeposit, (wallet, operator))
        ];
    }

    /// @dev Makes `call` as `caller` with every callback armed, and then with none.
    function check(address caller, bytes memory call) internal {
        bytes[11] memory armed = callbacks();
        for (uint256 index = 0; index < armed.length; index++) {
            rogue.arm(address(postage), armed[index]);
            vm.prank(caller);
            (bool success, bytes memory answer) = address(postage).call(call);
            assertFalse(success, "refused");
            assertEq(bytes4(answer), ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector, "as re-entry");
        }
        rogue.arm(address(0), "");
        vm.prank(caller);
        (bool alone,) = address(postage).call(call);
        assertTrue(alone, "alone it succeeds");
    }

    function test_noFunctionIsReentered() public {
        uint256 commitment = commitmentOf(42);
        uint32 issue = postage.currentIssue();
        check(buyer, abi.encodeCall(IPostage.buy, (1, 100, commitment)));
        check(buyer, abi.encodeCall(IPostage.buyWithPermit, (1, 100, 7, 0, 27, 0, 0)));
        check(buyer, abi.encodeCall(IPostage.depositFor, (wallet, operator, 1 ether, 1 ether)));
        check(operator, abi.encodeCall(IPostage.debit, (buyer, wallet, 0.5 ether)));
        check(operator, abi.encodeCall(IPostage.withdraw, ()));
        check(stranger, abi.encodeCall(IPostage.slash, (42, reporter)));
        check(reporter, abi.encodeCall(IPostage.withdraw, ()));
        check(settlement, abi.encodeCall(IPostage.release, (issue, 1, operator, 1)));
        vm.prank(buyer);
        postage.giveNotice(wallet, operator);
        vm.warp(postage.validUntil(issue) + 180 days);
        check(buyer, abi.encodeCall(IPostage.returnDeposit, (wallet, operator)));
        check(stranger, abi.encodeCall(IPostage.returnBond, (7)));
        check(stranger, abi.encodeCall(IPostage.burnExpired, (issue, 1)));
        assertEq(rogue.balanceOf(address(postage)), 0, "every wei has left as it should");
    }
}
