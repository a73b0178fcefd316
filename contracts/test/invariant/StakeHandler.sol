// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {CommonBase} from "forge-std/Base.sol";
import {StdAssertions} from "forge-std/StdAssertions.sol";
import {StdUtils} from "forge-std/StdUtils.sol";
import {PoseidonT2} from "poseidon-solidity/PoseidonT2.sol";

import {IStake} from "../../src/interfaces/IStake.sol";
import {IXmtpToken} from "../../src/interfaces/IXmtpToken.sol";

/// @dev Everybody at once: stakes, leaves, withdraws, slashes, and lets time pass. It keeps its own books beside the
/// contract's, so that invariants compare two accounts of the same story.
contract StakeHandler is CommonBase, StdAssertions, StdUtils {
    enum Fate {
        Open,
        Leaving,
        Withdrawn,
        Slashed
    }

    struct Entry {
        uint256 secret;
        uint256 commitment;
        address staker;
        uint32 tier;
        uint256 leaf;
        uint256 from;
        Fate fate;
    }

    struct Mirror {
        bytes32 chain;
        uint256 leaves;
    }

    IXmtpToken internal immutable TOKEN;
    IStake internal immutable STAKES;

    address[] public people;
    Entry[] internal entries;
    mapping(uint32 tier => Mirror) internal mirrors;

    uint256 public locked;
    uint256 public burned;
    uint256 public credited;
    uint256 public collected;
    /// @dev How often each deed was done, refusals left out; a test asks whether all of them happen.
    mapping(bytes4 deed => uint256) public done;
    uint256 public slashedWhileLeaving;

    constructor(IXmtpToken token, IStake stakes, address treasury) {
        (TOKEN, STAKES) = (token, stakes);
        for (uint160 index = 1; index <= 3; index++) {
            address person = address(0xb0b0000 + index);
            people.push(person);
            vm.prank(treasury);
            assertTrue(token.transfer(person, 1_000_000_000 ether), "funded");
            vm.prank(person);
            token.approve(address(stakes), type(uint256).max);
        }
    }

    /* DEEDS */

    function stake(uint256 who, uint256 tier) external {
        Entry memory it;
        it.secret = entries.length + 1000;
        it.commitment = PoseidonT2.hash([it.secret]);
        it.staker = people[who % people.length];
        it.tier = uint32(tier % STAKES.tiers().length) + 1;
        vm.prank(it.staker);
        if (who % 2 == 0) STAKES.stake(it.tier, it.commitment);
        // A permit that fails is passed over.
        else STAKES.stakeWithPermit(it.tier, it.commitment, 0, 27, 0, 0);

        locked += STAKES.tierOf(it.tier).amount;
        it.leaf = mirrors[it.tier].leaves++;
        entries.push(it);
        record(it, 1);
        done[msg.sig]++;
    }

    /// @dev Also of others' stakes, and of those that are leaving or gone: those must be refused.
    function requestExit(uint256 which, uint256 who) external {
        if (entries.length == 0) return;
        Entry storage it = entries[which % entries.length];
        address caller = who % 4 == 0 ? people[who / 4 % people.length] : it.staker;
        bool refused = caller != it.staker || it.fate != Fate.Open;
        if (it.fate > Fate.Leaving) vm.expectRevert(IStake.StakeGone.selector);
        else if (caller != it.staker) vm.expectRevert(IStake.NotStaker.selector);
        else if (refused) vm.expectRevert(abi.encodeWithSelector(IStake.ExitAlreadyRequested.selector, it.from));
        vm.prank(caller);
        STAKES.requestExit(it.commitment);
        if (refused) return;

        (it.fate, it.from) = (Fate.Leaving, block.timestamp + 7 days);
        record(it, 2);
        done[msg.sig]++;
    }

    /// @dev Also too early, and of stakes that are not leaving or gone.
    function withdraw(uint256 which) external {
        if (entries.length == 0) return;
        Entry storage it = entries[which % entries.length];
        bool refused = it.fate != Fate.Leaving || block.timestamp < it.from;
        uint256 before = TOKEN.balanceOf(it.staker);
        if (it.fate > Fate.Leaving) vm.expectRevert(IStake.StakeGone.selector);
        else if (it.fate == Fate.Open) vm.expectRevert(IStake.NoExit.selector);
        else if (refused) vm.expectRevert(abi.encodeWithSelector(IStake.TooEarly.selector, it.from));
        STAKES.withdraw(it.commitment);
        if (refused) return;

        uint256 amount = STAKES.tierOf(it.tier).amount;
        assertEq(TOKEN.balanceOf(it.staker) - before, amount, "the whole amount");
        it.fate = Fate.Withdrawn;
        locked -= amount;
        done[msg.sig]++;
    }

    /// @dev Also of stakes that are gone: those must be refused.
    function slash(uint256 which, uint256 who) external {
        if (entries.length == 0) return;
        Entry storage it = entries[which % entries.length];
        address reporter = people[who % people.length];
        uint256 supply = TOKEN.totalSupply();
        bool refused = it.fate > Fate.Leaving;
        if (refused) vm.expectRevert(IStake.StakeGone.selector);
        STAKES.slash(it.secret, reporter);
        if (refused) return;

        uint256 amount = STAKES.tierOf(it.tier).amount;
        if (it.fate == Fate.Leaving) slashedWhileLeaving++;
        it.fate = Fate.Slashed;
        locked -= amount;
        burned += supply - TOKEN.totalSupply();
        credited += amount / 10;
        record(it, 3);
        done[msg.sig]++;
    }

    function withdrawCredit(uint256 who) external {
        address account = people[who % people.length];
        uint256 before = TOKEN.balanceOf(account);
        if (STAKES.credits(account) == 0) vm.expectRevert(IStake.NothingDue.selector);
        else done[msg.sig]++;
        vm.prank(account);
        STAKES.withdrawCredit();
        collected += TOKEN.balanceOf(account) - before;
    }

    /// @dev Hours to some days, so that a run sees stakes wait and be withdrawn.
    function pass(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 1 hours, 8 days));
    }

    /* ACCOUNTS */

    function record(Entry memory it, uint8 kind) internal {
        Mirror storage mirror = mirrors[it.tier];
        bytes4 limit = bytes4(STAKES.tierOf(it.tier).limit);
        mirror.chain = keccak256(bytes.concat(mirror.chain, bytes1(kind), bytes32(it.commitment), limit));
    }

    function totalCredits() external view returns (uint256 sum) {
        for (uint256 index = 0; index < people.length; index++) {
            sum += STAKES.credits(people[index]);
        }
    }

    function allEntries() external view returns (Entry[] memory) {
        return entries;
    }

    function mirrorOf(uint32 tier) external view returns (Mirror memory) {
        return mirrors[tier];
    }
}
