// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IClaims} from "../../src/interfaces/IClaims.sol";
import {Base} from "../Base.t.sol";
import {Collection} from "../mocks/Collection.sol";
import {ClaimsHandler} from "./ClaimsHandler.sol";

/// @dev What holds after any sequence of anybody's deeds.
contract ClaimsInvariants is Base {
    ClaimsHandler internal handler;
    bytes32 internal claim;

    function setUp() public override {
        super.setUp();
        Collection collection = new Collection();
        IClaims.Claim memory terms;
        terms.spec.kind = IClaims.Kind.Erc721;
        terms.spec.chainId = uint64(block.chainid);
        terms.spec.subject = address(collection);
        terms.limit = 64;
        claim = claims.declare(terms);
        handler = new ClaimsHandler(claims, claim, collection);
        targetContract(address(handler));
    }

    /// @dev An invariant that nothing ever strains holds for the wrong reason.
    function test_everyDeedIsDoneInSomeRun() public {
        bytes4[3] memory deeds =
            [ClaimsHandler.register.selector, ClaimsHandler.prune.selector, ClaimsHandler.trade.selector];
        for (uint256 step = 0; step < 400; step++) {
            uint256 seed = uint256(keccak256(abi.encode(step)));
            // Arguments that a function does not have are not looked at.
            bytes memory arguments = abi.encode(seed >> 8, seed >> 16, seed >> 24, seed >> 255);
            bytes4 deed = seed % 4 == 3 ? ClaimsHandler.pass.selector : deeds[seed % 4];
            (bool success,) = address(handler).call(bytes.concat(deed, arguments));
            assertTrue(success, "refused as expected, or done");
        }
        for (uint256 index = 0; index < deeds.length; index++) {
            assertGt(handler.done(deeds[index]), 0, vm.toString(bytes32(deeds[index])));
        }
        assertGt(handler.allGenerations().length, 2, "generations");
    }

    function invariant_everyGroupIsWhatItsEventsSay() public view {
        uint32[] memory generations = handler.allGenerations();
        for (uint256 index = 0; index < generations.length; index++) {
            IClaims.Group memory group = claims.groupOf(claims.groupId(claim, generations[index]));
            ClaimsHandler.Mirror memory mirror = handler.mirrorOf(generations[index]);
            assertEq(group.chain, mirror.chain, "chain");
            assertEq(group.leaves, mirror.leaves, "leaves");
        }
    }

    function invariant_aTokenHasOneEntryAndIsRegisteredTwiceAtMost() public view {
        uint32[] memory generations = handler.allGenerations();
        for (uint256 index = 0; index < generations.length; index++) {
            for (uint256 tokenId = 0; tokenId < handler.TOKENS(); tokenId++) {
                IClaims.Registration memory it = claims.registrationOf(claim, generations[index], tokenId);
                ClaimsHandler.Entry memory entry = handler.entryOf(generations[index], tokenId);
                assertEq(it.holder, entry.holder, "holder");
                assertEq(it.commitment, entry.commitment, "commitment");
                assertEq(it.leaf, entry.leaf, "leaf");
                assertEq(it.times, entry.times, "times");
                assertLe(it.times, 2, "two at most");
            }
        }
    }

    function invariant_aCommitmentIsOnceInAGroup() public view {
        uint32[] memory generations = handler.allGenerations();
        for (uint256 index = 0; index < generations.length; index++) {
            for (uint256 commitment = 1; commitment <= handler.COMMITMENTS(); commitment++) {
                assertLe(handler.uses(generations[index], commitment), 1, "once");
            }
        }
    }
}
