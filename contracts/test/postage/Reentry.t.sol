// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {Postage} from "../../src/Postage.sol";
import {IPostage} from "../../src/interfaces/IPostage.sol";
import {IXmtpToken} from "../../src/interfaces/IXmtpToken.sol";
import {Base} from "../Base.t.sol";
import {ReentrantToken} from "../mocks/ReentrantToken.sol";

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
