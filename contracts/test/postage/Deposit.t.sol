// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IPostage} from "../../src/interfaces/IPostage.sol";
import {Base} from "../Base.t.sol";

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
