// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {stdError} from "forge-std/StdError.sol";

import {IClaims} from "../../src/interfaces/IClaims.sol";
import {ClaimsBase} from "./ClaimsBase.t.sol";

contract ClaimsRegisterTest is ClaimsBase {
    bytes32 internal claim;
    bytes32 internal group;
    uint32 internal generation;
    address internal alice = makeAddr("alice");
    address internal bob = makeAddr("bob");

    function setUp() public override {
        super.setUp();
        claim = claims.declare(registered());
        generation = claims.currentGeneration();
        group = claims.groupId(claim, generation);
        collection.mint(alice, 1);
        collection.mint(alice, 2);
        collection.mint(bob, 3);
    }

    function register(address holder, uint256 tokenId, uint256 commitment) internal {
        vm.prank(holder);
        claims.register(claim, generation, tokenId, commitment);
    }

    function refuse(address holder, uint256 tokenId, uint256 commitment, bytes4 reason) internal {
        vm.expectRevert(reason);
        register(holder, tokenId, commitment);
    }

    function move(address from, address to, uint256 tokenId) internal {
        vm.prank(from);
        collection.transferFrom(from, to, tokenId);
    }

    function chain() internal view returns (bytes32) {
        return claims.groupOf(group).chain;
    }

    function expectRegistered(address holder, uint256 tokenId, uint256 commitment, uint32 position) internal {
        vm.expectEmit(address(claims));
        emit IClaims.Registered(group, claim, holder, tokenId, commitment, 0, position, LIMIT);
    }

    function expectLeft(address holder, uint256 tokenId, uint256 commitment, uint32 position) internal {
        vm.expectEmit(address(claims));
        emit IClaims.Left(group, claim, holder, tokenId, commitment, 0, position, LIMIT);
    }

    function test_register_recordsTheEntry(uint256 commitment) public {
        commitment = bound(commitment, 1, FIELD - 1);
        expectRegistered(alice, 1, commitment, 0);
        register(alice, 1, commitment);
        IClaims.Registration memory it = claims.registrationOf(claim, generation, 1);
        assertEq(it.holder, alice, "holder");
        assertEq(it.leaf, 0, "leaf");
        assertEq(it.times, 1, "times");
        assertEq(it.commitment, commitment, "commitment");
        assertEq(chain(), link(0, 1, commitment, LIMIT), "chain");
        assertEq(claims.groupOf(group).leaves, 1, "leaves");
    }

    function test_register_keepsTheChainWhereStorageProofsLook() public {
        register(alice, 1, 7);
        bytes32 stored = vm.load(address(claims), keccak256(abi.encode(group, uint256(0))));
        assertEq(stored, chain(), "slot 0, first word");
    }

    function test_register_isTheHoldersAlone(address caller) public {
        vm.assume(caller != alice);
        refuse(caller, 1, 7, IClaims.NotHolder.selector);
        refuse(alice, 3, 7, IClaims.NotHolder.selector);
        refuse(alice, 99, 7, IClaims.NotHolder.selector);
    }

    /// @dev Whoever may move a token may not speak for its holder.
    function test_register_isNotForApprovedOperators() public {
        vm.prank(alice);
        collection.setApprovalForAll(bob, true);
        refuse(bob, 1, 7, IClaims.NotHolder.selector);
    }

    function test_register_replacesOnceInAGeneration() public {
        register(alice, 1, 7);
        expectLeft(alice, 1, 7, 0);
        expectRegistered(alice, 1, 8, 1);
        register(alice, 1, 8);
        assertEq(chain(), link(link(link(0, 1, 7, LIMIT), 2, 7, LIMIT), 1, 8, LIMIT), "chain");
        assertEq(claims.groupOf(group).leaves, 2, "leaves are numbers, and never given twice");
        refuse(alice, 1, 9, IClaims.RegisteredTwice.selector);

        generation += 1;
        register(alice, 1, 9);
        assertEq(claims.registrationOf(claim, generation, 1).times, 1, "the next generation counts anew");
    }

    /// @dev Else a token moved to and fro buys new pseudonyms and new limits.
    function test_register_countsTheTokenWhoeverHoldsIt() public {
        register(alice, 1, 7);
        move(alice, bob, 1);
        expectLeft(alice, 1, 7, 0);
        expectRegistered(bob, 1, 8, 1);
        register(bob, 1, 8);
        move(bob, alice, 1);
        claims.prune(claim, generation, 1);
        refuse(alice, 1, 9, IClaims.RegisteredTwice.selector);
        refuse(alice, 1, 7, IClaims.RegisteredTwice.selector);
    }

    function test_register_refusesACommitmentThatIsInTheGroup() public {
        register(alice, 1, 7);
        refuse(alice, 1, 7, IClaims.CommitmentUsed.selector);
        refuse(alice, 2, 7, IClaims.CommitmentUsed.selector);
        refuse(bob, 3, 7, IClaims.CommitmentUsed.selector);
    }

    /// @dev Who was robbed of a place by somebody with a token to move has it back, once the entry is pruned.
    function test_register_takesACommitmentThatHasLeft() public {
        register(bob, 3, 7);
        refuse(alice, 1, 7, IClaims.CommitmentUsed.selector);
        move(bob, stranger, 3);
        claims.prune(claim, generation, 3);
        register(alice, 1, 7);
        register(alice, 1, 8);
        register(alice, 2, 7);
    }

    function test_register_keepsClaimsAndGenerationsApart() public {
        IClaims.Claim memory terms = registered();
        terms.limit = 128;
        bytes32 other = claims.declare(terms);
        register(alice, 1, 7);
        vm.startPrank(alice);
        claims.register(claim, generation + 1, 1, 7);
        claims.register(other, generation, 1, 7);
        vm.stopPrank();
        assertEq(claims.groupOf(claims.groupId(claim, generation + 1)).chain, link(0, 1, 7, LIMIT), "generation");
        assertEq(claims.groupOf(claims.groupId(other, generation)).chain, link(0, 1, 7, 128), "claim");
    }

    /// @dev A transaction that waited over the end of a quarter must not put last quarter's commitment into this one's.
    function test_register_isForThisGenerationOrTheNext() public {
        bytes memory wrong = abi.encodeWithSelector(IClaims.WrongGeneration.selector, generation);
        uint32[3] memory others = [generation - 1, generation + 2, type(uint32).max];
        for (uint256 index = 0; index < 3; index++) {
            vm.expectRevert(wrong);
            vm.prank(alice);
            claims.register(claim, others[index], 1, 7);
        }
        vm.warp((uint256(generation) + 1) * GENERATION_SECONDS - 1);
        register(alice, 1, 7);
        vm.warp(block.timestamp + 1);
        vm.expectRevert(abi.encodeWithSelector(IClaims.WrongGeneration.selector, generation + 1));
        register(alice, 1, 8);
    }

    function test_register_refusesCommitmentsOutsideTheField(uint256 commitment) public {
        commitment = bound(commitment, FIELD, type(uint256).max);
        refuse(alice, 1, commitment, IClaims.InvalidCommitment.selector);
        refuse(alice, 1, 0, IClaims.InvalidCommitment.selector);
        refuse(alice, 1, FIELD, IClaims.InvalidCommitment.selector);
        register(alice, 1, FIELD - 1);
    }

    function test_register_ofOneTokenIsForThatToken() public {
        IClaims.Claim memory terms = registered();
        (terms.spec.kind, terms.spec.tokenId) = (IClaims.Kind.Erc721Token, 2);
        claim = claims.declare(terms);
        refuse(alice, 1, 7, IClaims.WrongToken.selector);
        register(alice, 2, 7);
    }

    function test_registeringIsForRegisteredClaims() public {
        bytes32 id = claims.declare(issued(IClaims.Kind.Erc721));
        vm.startPrank(alice);
        vm.expectRevert(IClaims.NotRegistered.selector);
        claims.register(id, generation, 1, 7);
        vm.expectRevert(IClaims.NotRegistered.selector);
        claims.prune(id, generation, 1);
        vm.expectRevert(IClaims.UnknownClaim.selector);
        claims.register(0, generation, 1, 7);
        vm.expectRevert(IClaims.UnknownClaim.selector);
        claims.prune(0, generation, 1);
        vm.stopPrank();
    }

    /// @dev Two million registrations are beyond a test; the count of leaves is set where it is stored.
    function test_everyEventNamesTheVolume() public {
        setLeaves(1 << 21);
        vm.expectEmit(address(claims));
        emit IClaims.Registered(group, claim, alice, 1, 7, 1, 0, LIMIT);
        register(alice, 1, 7);
        vm.expectEmit(address(claims));
        emit IClaims.Left(group, claim, alice, 1, 7, 1, 0, LIMIT);
        register(alice, 1, 8);
    }

    function test_register_isRefusedWhenAGroupIsFull() public {
        setLeaves(type(uint32).max);
        vm.expectRevert(stdError.arithmeticError);
        register(alice, 1, 7);
    }

    function setLeaves(uint32 leaves) internal {
        bytes32 slot = bytes32(uint256(keccak256(abi.encode(group, uint256(0)))) + 1);
        vm.store(address(claims), slot, bytes32(uint256(leaves)));
        assertEq(claims.groupOf(group).leaves, leaves, "the layout is as assumed");
    }

    function test_prune_removesWhatHasMoved() public {
        register(alice, 1, 7);
        vm.expectRevert(IClaims.StillHeld.selector);
        claims.prune(claim, generation, 1);
        move(alice, bob, 1);
        expectLeft(alice, 1, 7, 0);
        vm.prank(stranger);
        claims.prune(claim, generation, 1);
        assertEq(chain(), link(link(0, 1, 7, LIMIT), 2, 7, LIMIT), "chain");
        assertEq(claims.registrationOf(claim, generation, 1).holder, address(0), "nobody is registered");
        vm.expectRevert(IClaims.NoRegistration.selector);
        claims.prune(claim, generation, 1);
        register(bob, 1, 8);
    }

    function test_prune_removesWhatWasBurned() public {
        register(alice, 1, 7);
        collection.burn(1);
        claims.prune(claim, generation, 1);
        assertEq(claims.registrationOf(claim, generation, 1).holder, address(0), "nobody is registered");
    }

    function test_prune_spares_whatCameBack() public {
        register(alice, 1, 7);
        move(alice, bob, 1);
        move(bob, alice, 1);
        vm.expectRevert(IClaims.StillHeld.selector);
        claims.prune(claim, generation, 1);
    }

    function test_prune_ofNothingIsRefused(uint256 tokenId) public {
        vm.expectRevert(IClaims.NoRegistration.selector);
        claims.prune(claim, generation, tokenId);
    }
}
