// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IStake} from "../../src/interfaces/IStake.sol";
import {Base} from "../Base.t.sol";
import {StakeHandler} from "./StakeHandler.sol";

/// @dev What holds after any sequence of anybody's deeds.
contract StakeInvariants is Base {
    StakeHandler internal handler;

    function setUp() public override {
        super.setUp();
        handler = new StakeHandler(token, stakes, treasury);
        targetContract(address(handler));
    }

    /// @dev An invariant that nothing ever strains holds for the wrong reason.
    function test_everyDeedIsDoneInSomeRun() public {
        bytes4[5] memory deeds = [
            StakeHandler.stake.selector,
            StakeHandler.requestExit.selector,
            StakeHandler.withdraw.selector,
            StakeHandler.slash.selector,
            StakeHandler.withdrawCredit.selector
        ];
        for (uint256 step = 0; step < 600; step++) {
            uint256 seed = uint256(keccak256(abi.encode(step)));
            // Arguments that a function does not have are not looked at.
            bytes memory arguments = abi.encode(seed >> 8, seed >> 16);
            bytes4 deed = seed % 6 == 5 ? StakeHandler.pass.selector : deeds[seed % 6];
            (bool success,) = address(handler).call(bytes.concat(deed, arguments));
            assertTrue(success, "refused as expected, or done");
        }
        for (uint256 index = 0; index < deeds.length; index++) {
            assertGt(handler.done(deeds[index]), 0, vm.toString(bytes32(deeds[index])));
        }
        assertGt(handler.slashedWhileLeaving(), 0, "slashed while leaving");
    }

    function invariant_theBalanceIsOpenStakesAndCredits() public view {
        assertEq(token.balanceOf(address(stakes)), handler.locked() + handler.totalCredits(), "balance");
    }

    function invariant_openStakesAreWhatTheLocksSay() public view {
        StakeHandler.Entry[] memory entries = handler.allEntries();
        uint256 open = 0;
        for (uint256 index = 0; index < entries.length; index++) {
            IStake.Lock memory lock = stakes.lockOf(entries[index].commitment);
            if (lock.staker != address(0)) open += stakes.tierOf(lock.tier).amount;
        }
        assertEq(open, handler.locked(), "open");
    }

    function invariant_creditsAreATenthOfWhatWasSlashedAndTheRestIsBurned() public view {
        assertEq(handler.credited(), handler.collected() + handler.totalCredits(), "credits");
        assertEq(SUPPLY - token.totalSupply(), handler.burned(), "nothing else is burned");
        assertEq(handler.burned(), handler.credited() * 9, "burned");
    }

    function invariant_aStakeIsLockedUntilItIsWithdrawnOrSlashed() public view {
        StakeHandler.Entry[] memory entries = handler.allEntries();
        for (uint256 index = 0; index < entries.length; index++) {
            IStake.Lock memory lock = stakes.lockOf(entries[index].commitment);
            bool locked = entries[index].fate <= StakeHandler.Fate.Leaving;
            assertEq(lock.staker, locked ? entries[index].staker : address(0), "staker");
            assertEq(lock.tier, entries[index].tier, "tier");
            assertEq(lock.leaf, entries[index].leaf, "leaf");
            assertEq(lock.withdrawableFrom, entries[index].from, "from");
        }
    }

    function invariant_everyGroupIsWhatItsEventsSay() public view {
        for (uint32 tier = 1; tier <= stakes.tiers().length; tier++) {
            IStake.Group memory group = stakes.groupOf(stakes.groupId(tier));
            StakeHandler.Mirror memory mirror = handler.mirrorOf(tier);
            assertEq(group.chain, mirror.chain, "chain");
            assertEq(group.leaves, mirror.leaves, "leaves");
        }
    }
}
