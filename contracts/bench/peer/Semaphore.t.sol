// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Semaphore} from "@semaphore-protocol/contracts/Semaphore.sol";
import {ISemaphoreVerifier} from "@semaphore-protocol/contracts/interfaces/ISemaphoreVerifier.sol";

import {Base} from "../../test/Base.t.sol";
// Not used here: whoever runs this file runs the measurements of our own contracts in the same run.
import {GasTest} from "../../test/Gas.t.sol";

/// @dev Joining a group, here and there. `Postage` leaves the tree to who follows its events, so that a book costs the
/// same whatever the group. Semaphore keeps the tree on chain: a member costs a hash for every right turn on its way to the
/// root, so sixteen are measured, spread over a group that grows from 512 to 1,040.
/// forge-config: default.isolate = true
contract SemaphoreGasTest is Base {
    uint256 internal constant BEFORE = 512;
    uint256 internal constant BETWEEN = 32;
    uint256 internal constant SAMPLES = 16;
    uint32 internal constant DENOMINATION = 5;
    uint32 internal constant COUNT = 100;

    Semaphore internal semaphore;
    uint256 internal group;
    uint256 internal members;

    function setUp() public override {
        super.setUp();
        // Joining asks no proof of anybody, so there is no verifier to deploy.
        semaphore = new Semaphore(ISemaphoreVerifier(address(0)));
        group = semaphore.createGroup();
        addMembers(BEFORE);
    }

    function addMembers(uint256 count) internal {
        uint256[] memory commitments = new uint256[](count);
        for (uint256 i; i < count; ++i) {
            commitments[i] = commitmentOf(++members);
        }
        semaphore.addMembers(group, commitments);
    }

    function test_addMember() public {
        for (uint256 i; i < SAMPLES; ++i) {
            semaphore.addMember(group, commitmentOf(++members));
            vm.snapshotGasLastCall("peer", vm.toString(i));
            addMembers(BETWEEN);
        }
    }

    function test_buy() public {
        // Not the group's first, as there.
        buy(DENOMINATION, COUNT, commitmentOf(++members));
        for (uint256 i; i < SAMPLES; ++i) {
            buy(DENOMINATION, COUNT, commitmentOf(++members));
            vm.snapshotGasLastCall("ours", vm.toString(i));
        }
    }
}
