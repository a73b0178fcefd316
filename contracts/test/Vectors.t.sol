// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {stdJson} from "forge-std/StdJson.sol";

import {Claims} from "../src/Claims.sol";
import {Postage} from "../src/Postage.sol";
import {Stake} from "../src/Stake.sol";
import {IClaims} from "../src/interfaces/IClaims.sol";
import {IPostage} from "../src/interfaces/IPostage.sol";
import {IStake} from "../src/interfaces/IStake.sol";
import {Base} from "./Base.t.sol";

/// @dev The vectors that Rust meets too (testdata/vectors).
contract VectorsTest is Base {
    using stdJson for string;

    string internal constant FOLDER = "../testdata/vectors/";
    /// @dev Kinds of groups.
    uint256 internal constant STAMPS = 1;
    uint256 internal constant STAKES = 2;
    uint256 internal constant CLAIMS = 3;
    /// @dev The `Postage` whose network the vectors of groups name, on the chain 31337.
    address internal constant POSTAGE = 0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512;

    /// @dev The contract as if it had been deployed at `where` on the chain `chainId`.
    function deployAt(address where, uint64 chainId) internal returns (IPostage) {
        vm.chainId(chainId);
        construct(
            where,
            type(Postage).creationCode,
            abi.encode(token, settlement, UNIT_PRICE, ISSUE_SECONDS, BURN_BPS, BOND_BPS)
        );
        return IPostage(where);
    }

    function construct(address where, bytes memory code, bytes memory arguments) internal {
        vm.etch(where, bytes.concat(code, arguments));
        (bool success, bytes memory runtime) = where.call("");
        assertTrue(success, "constructed");
        vm.etch(where, runtime);
    }

    function path(string memory list, uint256 index, string memory field) internal pure returns (string memory) {
        return string.concat(".", list, "[", vm.toString(index), "].", field);
    }

    function test_poseidonOfOneInput() public view {
        string memory json = vm.readFile(string.concat(FOLDER, "poseidon.json"));
        uint256 index = 0;
        for (; json.keyExists(path("poseidon1", index, "input")); index++) {
            uint256 input = uint256(json.readBytes32(path("poseidon1", index, "input")));
            assertEq(commitmentOf(input), uint256(json.readBytes32(path("poseidon1", index, "output"))), "poseidon");
        }
        assertGt(index, 2, "there are vectors");
    }

    function test_networkIds() public {
        string memory json = vm.readFile(string.concat(FOLDER, "derived.json"));
        uint256 index = 0;
        for (; json.keyExists(path("network_id", index, "chain_id")); index++) {
            uint64 chainId = uint64(vm.parseUint(json.readString(path("network_id", index, "chain_id"))));
            IPostage there = deployAt(json.readAddress(path("network_id", index, "postage")), chainId);
            assertEq(there.networkId(), json.readBytes32(path("network_id", index, "network_id")), "network id");
        }
        assertGt(index, 2, "there are vectors");
    }

    function test_groupIdsOfStamps() public {
        string memory json = vm.readFile(string.concat(FOLDER, "derived.json"));
        uint256 met = 0;
        for (uint256 index = 0; json.keyExists(path("group_id", index, "kind")); index++) {
            if (json.readUint(path("group_id", index, "kind")) != STAMPS) continue;
            address source = address(uint160(uint256(json.readBytes32(path("group_id", index, "source")))));
            IPostage there = deployAt(source, 31_337);
            assertEq(there.networkId(), json.readBytes32(path("group_id", index, "network_id")), "network id");
            bytes32 id = there.groupId(
                uint32(json.readUint(path("group_id", index, "class"))),
                uint32(json.readUint(path("group_id", index, "issue")))
            );
            assertEq(id, json.readBytes32(path("group_id", index, "group_id")), "group id");
            met++;
        }
        assertGt(met, 1, "there are vectors");
    }

    function test_groupIdsOfStakes() public {
        string memory json = vm.readFile(string.concat(FOLDER, "derived.json"));
        uint256 met = 0;
        deployAt(POSTAGE, 31_337);
        for (uint256 index = 0; json.keyExists(path("group_id", index, "kind")); index++) {
            if (json.readUint(path("group_id", index, "kind")) != STAKES) continue;
            address source = address(uint160(uint256(json.readBytes32(path("group_id", index, "source")))));
            construct(source, type(Stake).creationCode, abi.encode(POSTAGE, defaultTiers()));
            IStake there = IStake(source);
            assertEq(there.networkId(), json.readBytes32(path("group_id", index, "network_id")), "network id");
            bytes32 id = there.groupId(uint32(json.readUint(path("group_id", index, "class"))));
            assertEq(id, json.readBytes32(path("group_id", index, "group_id")), "group id");
            met++;
        }
        assertGt(met, 0, "there are vectors");
    }

    function test_groupIdsOfClaims() public {
        string memory json = vm.readFile(string.concat(FOLDER, "derived.json"));
        uint256 met = 0;
        claims = IClaims(address(new Claims(address(deployAt(POSTAGE, 31_337)))));
        for (uint256 index = 0; json.keyExists(path("group_id", index, "kind")); index++) {
            if (json.readUint(path("group_id", index, "kind")) != CLAIMS) continue;
            assertEq(claims.networkId(), json.readBytes32(path("group_id", index, "network_id")), "network id");
            bytes32 id = claims.groupId(
                json.readBytes32(path("group_id", index, "source")),
                uint32(json.readUint(path("group_id", index, "issue")))
            );
            assertEq(id, json.readBytes32(path("group_id", index, "group_id")), "group id");
            met++;
        }
        assertGt(met, 0, "there are vectors");
    }

    function test_claimIds() public {
        string memory json = vm.readFile(string.concat(FOLDER, "derived.json"));
        claims = IClaims(address(new Claims(address(deployAt(POSTAGE, 31_337)))));
        uint256 index = 0;
        for (; json.keyExists(path("claim_id", index, "kind")); index++) {
            assertEq(claims.networkId(), json.readBytes32(path("claim_id", index, "network_id")), "network id");
            bytes32 id = claims.declare(termsAt(json, index));
            assertEq(id, json.readBytes32(path("claim_id", index, "claim_id")), "claim id");
        }
        assertGt(index, 6, "there are vectors of every kind");
    }

    function termsAt(string memory json, uint256 index) internal pure returns (IClaims.Claim memory it) {
        it.spec.kind = IClaims.Kind(json.readUint(path("claim_id", index, "kind")));
        it.spec.chainId = uint64(vm.parseUint(json.readString(path("claim_id", index, "chain_id"))));
        it.spec.subject = json.readAddress(path("claim_id", index, "subject"));
        it.spec.tokenId = uint256(json.readBytes32(path("claim_id", index, "token_id")));
        it.spec.amount = uint256(json.readBytes32(path("claim_id", index, "amount")));
        it.spec.before = uint64(vm.parseUint(json.readString(path("claim_id", index, "before"))));
        it.spec.tokens = json.readAddressArray(path("claim_id", index, "tokens"));
        it.issuers = json.readAddressArray(path("claim_id", index, "issuers"));
        it.threshold = uint8(json.readUint(path("claim_id", index, "threshold")));
        it.limit = uint32(json.readUint(path("claim_id", index, "limit")));
    }

    /// @dev The commitments of passes are made by another implementation; what was bought or staked under one must be
    /// slashable.
    function test_passesOfTheProverCanBeSlashed() public {
        string memory json = vm.readFile(string.concat(FOLDER, "pass.json"));
        uint256 index = 0;
        for (; json.keyExists(path("passes", index, "secret")); index++) {
            uint256 commitment = uint256(json.readBytes32(path("passes", index, "commitment")));
            uint256 secret = uint256(json.readBytes32(path("passes", index, "secret")));
            buy(1, 1, commitment);
            postage.slash(secret, reporter);
            assertEq(postage.bookOf(commitment).buyer, address(0), "slashed");
            vm.prank(buyer);
            stakes.stake(1, commitment);
            stakes.slash(secret, reporter);
            assertEq(stakes.lockOf(commitment).staker, address(0), "slashed");
        }
        assertGt(index, 0, "there are vectors");
    }
}
