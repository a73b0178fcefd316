// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

import {IPostage} from "../../src/interfaces/IPostage.sol";
import {Base} from "../Base.t.sol";

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
