// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IPostage} from "../../src/interfaces/IPostage.sol";
import {Base} from "../Base.t.sol";
import {Handler} from "./Handler.sol";

/// @dev What holds after any sequence of anybody's deeds.
contract PostageInvariants is Base {
    Handler internal handler;

    function setUp() public override {
        super.setUp();
        handler = new Handler(token, postage, treasury);
        targetContract(address(handler));
    }

    /// @dev An invariant that nothing ever strains holds for the wrong reason.
    function test_everyDeedIsDoneInSomeRun() public {
        bytes4[10] memory deeds = [
            Handler.buy.selector,
            Handler.slash.selector,
            Handler.returnBond.selector,
            Handler.withdraw.selector,
            Handler.release.selector,
            Handler.burnExpired.selector,
            Handler.depositFor.selector,
            Handler.debit.selector,
            Handler.giveNotice.selector,
            Handler.returnDeposit.selector
        ];
        for (uint256 step = 0; step < 1000; step++) {
            uint256 seed = uint256(keccak256(abi.encode(step)));
            // Arguments that a function does not have are not looked at.
            bytes memory arguments = abi.encode(seed >> 8, seed >> 16, seed >> 24, seed >> 32);
            bytes4 deed = seed % 11 == 10 ? Handler.pass.selector : deeds[seed % 11];
            (bool success,) = address(handler).call(bytes.concat(deed, arguments));
            assertTrue(success, "refused as expected, or done");
        }
        for (uint256 index = 0; index < deeds.length; index++) {
            assertGt(handler.done(deeds[index]), 0, vm.toString(bytes32(deeds[index])));
        }
    }

    function invariant_whatWasSoldIsBurnedOrReleasedOrHeld() public view {
        uint256 gone = handler.burnedAtSale() + handler.released() + handler.expired();
        assertEq(handler.sold(), gone + handler.totalHeld(), "sold");
    }

    function invariant_theBalanceIsHeldMoneyBondsCreditsAndDeposits() public view {
        uint256 owed = handler.totalHeld() + handler.bonds() + handler.totalCredits() + handler.totalDeposits();
        assertEq(token.balanceOf(address(postage)), owed, "balance");
    }

    function invariant_nothingElseIsBurned() public view {
        uint256 burned = handler.burnedAtSale() + handler.expired() + handler.burnedBonds() + handler.burnedDebits();
        assertEq(SUPPLY - token.totalSupply(), burned, "burned");
    }

    function invariant_atLeastTheBurnedShareOfEverySaleIsGone() public view {
        assertGe(handler.burnedAtSale() * 10_000, handler.sold() * BURN_BPS, "share");
    }

    function invariant_aBookIsOpenUntilItIsSlashedOrReturned() public view {
        Handler.Sold[] memory books = handler.allBooks();
        for (uint256 index = 0; index < books.length; index++) {
            IPostage.Book memory book = postage.bookOf(books[index].commitment);
            bool open = books[index].fate == Handler.Fate.Open;
            assertEq(book.buyer, open ? books[index].buyer : address(0), "buyer");
            assertEq(book.denomination, books[index].denomination, "denomination");
            assertEq(uint256(book.lastIndex) + 1, books[index].count, "count");
            assertEq(book.issue, books[index].issue, "issue");
            assertEq(book.leaf, books[index].leaf, "leaf");
        }
    }

    function invariant_everyGroupIsWhatItsEventsSay() public view {
        bytes32[] memory groups = handler.allGroups();
        for (uint256 index = 0; index < groups.length; index++) {
            IPostage.Group memory group = postage.groupOf(groups[index]);
            Handler.Mirror memory mirror = handler.mirrorOf(groups[index]);
            assertEq(group.chain, mirror.chain, "chain");
            assertEq(group.stamps, mirror.stamps, "stamps");
            assertEq(group.leaves, mirror.leaves, "leaves");
        }
    }
}
