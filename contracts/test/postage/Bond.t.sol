// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IPostage} from "../../src/interfaces/IPostage.sol";
import {Base} from "../Base.t.sol";

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
