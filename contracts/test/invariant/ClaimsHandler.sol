// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {CommonBase} from "forge-std/Base.sol";
import {StdAssertions} from "forge-std/StdAssertions.sol";
import {StdUtils} from "forge-std/StdUtils.sol";

import {IClaims} from "../../src/interfaces/IClaims.sol";
import {Collection} from "../mocks/Collection.sol";

/// @dev Holders register, replace, trade and burn, and anybody prunes, over some generations. It keeps its own books beside
/// the contract's, so that invariants compare two accounts of the same story.
contract ClaimsHandler is CommonBase, StdAssertions, StdUtils {
    uint256 public constant TOKENS = 4;
    uint256 public constant COMMITMENTS = 6;
    uint32 internal constant LIMIT = 64;

    struct Entry {
        address holder;
        uint256 commitment;
        uint256 leaf;
        uint256 times;
    }

    struct Mirror {
        bytes32 chain;
        uint256 leaves;
    }

    IClaims internal immutable CLAIMS;
    bytes32 internal immutable CLAIM;
    Collection internal immutable COLLECTION;

    address[] public people;
    uint32[] internal generations;
    mapping(uint32 generation => mapping(uint256 tokenId => Entry)) internal entries;
    mapping(uint32 generation => mapping(uint256 commitment => uint256)) public uses;
    mapping(uint32 generation => Mirror) internal mirrors;
    /// @dev How often each deed was done, refusals left out; a test asks whether all of them happen.
    mapping(bytes4 deed => uint256) public done;

    constructor(IClaims claims, bytes32 claim, Collection collection) {
        (CLAIMS, CLAIM, COLLECTION) = (claims, claim, collection);
        for (uint160 index = 1; index <= 3; index++) {
            people.push(address(0xb0b0000 + index));
        }
        for (uint256 tokenId = 0; tokenId < TOKENS; tokenId++) {
            collection.mint(people[tokenId % people.length], tokenId);
        }
        generations.push(claims.currentGeneration());
    }

    /* DEEDS */

    /// @dev Also by others than the holder, too often, and under commitments that are there: those must be refused.
    function register(uint256 who, uint256 token, uint256 secret, bool ahead) external {
        uint256 tokenId = token % TOKENS;
        address caller = who % 4 == 0 ? people[who / 4 % people.length] : ownerOf(tokenId);
        if (caller == address(0)) return;
        uint256 commitment = secret % COMMITMENTS + 1;
        uint32 generation = CLAIMS.currentGeneration();
        if (ahead) generation += 1;
        Entry memory before = entries[generation][tokenId];
        bool refused = true;
        if (before.times == 2) vm.expectRevert(IClaims.RegisteredTwice.selector);
        else if (uses[generation][commitment] != 0) vm.expectRevert(IClaims.CommitmentUsed.selector);
        else if (caller != ownerOf(tokenId)) vm.expectRevert(IClaims.NotHolder.selector);
        else refused = false;
        vm.prank(caller);
        CLAIMS.register(CLAIM, generation, tokenId, commitment);
        if (refused) return;

        if (before.holder != address(0)) remove(generation, before.commitment);
        entries[generation][tokenId] = Entry(caller, commitment, mirrors[generation].leaves++, before.times + 1);
        uses[generation][commitment]++;
        record(generation, 1, commitment);
        if (ahead && generations[generations.length - 1] != generation) generations.push(generation);
        done[msg.sig]++;
    }

    /// @dev Also of what is still held, or not registered: those must be refused.
    function prune(uint256 token) external {
        uint256 tokenId = token % TOKENS;
        uint32 generation = CLAIMS.currentGeneration();
        Entry storage it = entries[generation][tokenId];
        bool refused = true;
        if (it.holder == address(0)) vm.expectRevert(IClaims.NoRegistration.selector);
        else if (it.holder == ownerOf(tokenId)) vm.expectRevert(IClaims.StillHeld.selector);
        else refused = false;
        CLAIMS.prune(CLAIM, generation, tokenId);
        if (refused) return;

        it.holder = address(0);
        remove(generation, it.commitment);
        done[msg.sig]++;
    }

    function trade(uint256 token, uint256 who) external {
        uint256 tokenId = token % TOKENS;
        address owner = ownerOf(tokenId);
        address to = people[who % people.length];
        if (owner == address(0)) {
            COLLECTION.mint(to, tokenId);
        } else if (who % 16 == 15) {
            COLLECTION.burn(tokenId);
        } else {
            vm.prank(owner);
            COLLECTION.transferFrom(owner, to, tokenId);
        }
        done[msg.sig]++;
    }

    /// @dev Weeks, so that a run sees some generations.
    function pass(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 1 hours, 40 days));
        uint32 generation = CLAIMS.currentGeneration();
        if (generations[generations.length - 1] < generation) generations.push(generation);
    }

    /* ACCOUNTS */

    function ownerOf(uint256 tokenId) internal view returns (address owner) {
        try COLLECTION.ownerOf(tokenId) returns (address it) {
            return it;
        } catch {}
    }

    function remove(uint32 generation, uint256 commitment) internal {
        uses[generation][commitment]--;
        record(generation, 2, commitment);
    }

    function record(uint32 generation, uint8 kind, uint256 commitment) internal {
        Mirror storage mirror = mirrors[generation];
        mirror.chain = keccak256(bytes.concat(mirror.chain, bytes1(kind), bytes32(commitment), bytes4(LIMIT)));
    }

    function allGenerations() external view returns (uint32[] memory) {
        return generations;
    }

    function entryOf(uint32 generation, uint256 tokenId) external view returns (Entry memory) {
        return entries[generation][tokenId];
    }

    function mirrorOf(uint32 generation) external view returns (Mirror memory) {
        return mirrors[generation];
    }
}
