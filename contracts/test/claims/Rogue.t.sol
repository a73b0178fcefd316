// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IClaims} from "../../src/interfaces/IClaims.sol";
import {ClaimsBase} from "./ClaimsBase.t.sol";
import {RogueCollection} from "../mocks/RogueCollection.sol";

/// @dev Collections are anybody's contracts.
contract ClaimsRogueTest is ClaimsBase {
    RogueCollection internal rogue;
    bytes32 internal claim;
    uint32 internal generation;

    function setUp() public override {
        super.setUp();
        rogue = new RogueCollection();
        IClaims.Claim memory terms = registered();
        terms.spec.subject = address(rogue);
        claim = claims.declare(terms);
        generation = claims.currentGeneration();
        rogue.set(RogueCollection.Manner.Answers, abi.encode(stranger));
        vm.prank(stranger);
        claims.register(claim, generation, 1, 7);
    }

    function checkNobody(RogueCollection.Manner manner, bytes memory answer, string memory what) internal {
        rogue.set(manner, answer);
        uint256 snapshot = vm.snapshotState();
        vm.expectRevert(IClaims.NotHolder.selector);
        vm.prank(stranger);
        claims.register(claim, generation, 2, 8);
        claims.prune{gas: 400_000}(claim, generation, 1);
        assertEq(claims.registrationOf(claim, generation, 1).holder, address(0), what);
        vm.revertToState(snapshot);
    }

    /// @dev Nor can it keep an entry by saying so, or make its pruning dear.
    function test_aCollectionThatAnswersNonsenseSaysThatNobodyHolds() public {
        checkNobody(RogueCollection.Manner.Reverts, "", "reverts");
        checkNobody(RogueCollection.Manner.Reverts, abi.encode(stranger), "reverts with the answer");
        checkNobody(RogueCollection.Manner.BurnsAllGas, "", "burns all gas");
        checkNobody(RogueCollection.Manner.RevertsAtLength, "", "reverts at length");
        checkNobody(RogueCollection.Manner.AnswersAtLength, "", "answers at length");
        checkNobody(RogueCollection.Manner.Answers, "", "nothing");
        checkNobody(RogueCollection.Manner.Answers, abi.encodePacked(stranger), "too short");
        checkNobody(RogueCollection.Manner.Answers, abi.encode(stranger, 1), "too long");
        checkNobody(RogueCollection.Manner.Answers, abi.encode(uint256(uint160(stranger)) | 1 << 160), "no address");
        checkNobody(RogueCollection.Manner.Answers, abi.encode(address(0)), "zero");
    }

    function test_aCollectionThatIsGoneSaysThatNobodyHolds() public {
        vm.etch(address(rogue), "");
        claims.prune(claim, generation, 1);
        assertEq(claims.registrationOf(claim, generation, 1).holder, address(0), "pruned");
    }

    /// @dev With whatever gas: either it fails as a whole, or the entry stays, for the holder holds.
    function test_tooLittleGasPrunesNobody(uint256 gas) public {
        gas = bound(gas, 30_000, 400_000);
        vm.prank(reporter);
        (bool success,) = address(claims).call{gas: gas}(abi.encodeCall(IClaims.prune, (claim, generation, 1)));
        assertFalse(success, "refused");
        assertEq(claims.registrationOf(claim, generation, 1).holder, stranger, "still registered");
    }

    function test_tooLittleGasIsSaidSo() public {
        vm.expectRevert(IClaims.TooLittleGas.selector);
        claims.prune{gas: 200_000}(claim, generation, 1);
    }

    function test_aCollectionDecidesAboutItsOwnTokensOnly() public {
        rogue.set(RogueCollection.Manner.Reverts, "");
        bytes32 other = claims.declare(registered());
        collection.mint(buyer, 1);
        vm.prank(buyer);
        claims.register(other, generation, 1, 7);
        claims.prune(claim, generation, 1);
        assertEq(claims.registrationOf(other, generation, 1).holder, buyer, "another collection's entry stays");
    }
}
