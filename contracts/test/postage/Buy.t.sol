// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {stdError} from "forge-std/StdError.sol";

import {IPostage} from "../../src/interfaces/IPostage.sol";
import {Base} from "../Base.t.sol";
import {FeeToken} from "../mocks/FeeToken.sol";

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
