// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Postage} from "../../src/Postage.sol";
import {IPostage} from "../../src/interfaces/IPostage.sol";
import {Base} from "../Base.t.sol";

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
