// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IPostage} from "../../src/interfaces/IPostage.sol";
import {Base} from "../Base.t.sol";

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
