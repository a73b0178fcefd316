// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {stdJson} from "forge-std/StdJson.sol";
import {PoseidonT2} from "poseidon-solidity/PoseidonT2.sol";

import {Claims} from "../src/Claims.sol";
import {Postage} from "../src/Postage.sol";
import {Stake} from "../src/Stake.sol";
import {XmtpToken} from "../src/XmtpToken.sol";
import {Base} from "./Base.t.sol";
import {Badges} from "./mocks/Badges.sol";
import {Collection} from "./mocks/Collection.sol";

/// @dev contracts/build and forge read the same settings; here is that they read them the same way.
contract ArtifactsTest is Base {
    using stdJson for string;

    function bytecodeOf(string memory name) internal view returns (string memory) {
        return vm.readFile(string.concat("artifacts/", name, ".json")).readString(".bytecode");
    }

    function test_theTokensBytecodeIsForges() public view {
        check(vm.parseBytes(bytecodeOf("XmtpToken")), type(XmtpToken).creationCode);
    }

    function test_theClaimsBytecodeIsForges() public view {
        check(vm.parseBytes(bytecodeOf("Claims")), type(Claims).creationCode);
    }

    function test_theMocksBytecodeIsForges() public view {
        check(vm.parseBytes(bytecodeOf("Badges")), type(Badges).creationCode);
        check(vm.parseBytes(bytecodeOf("Collection")), type(Collection).creationCode);
    }

    function test_thePostagesBytecodeIsForgesOnceLinked() public view {
        check(vm.parseBytes(linked("Postage")), type(Postage).creationCode);
    }

    function test_theStakesBytecodeIsForgesOnceLinked() public view {
        check(vm.parseBytes(linked("Stake")), type(Stake).creationCode);
    }

    /// @dev Solidity's mark for a library is the first 34 hex digits of the hash of its name.
    function linked(string memory contract_) internal view returns (string memory) {
        bytes32 name = keccak256("node_modules/poseidon-solidity/PoseidonT2.sol:PoseidonT2");
        string memory digits = vm.replace(vm.toString(name), "0x", "");
        bytes memory mark = bytes.concat("__$", slice(bytes(digits), 34), "$__");
        string memory library_ = vm.replace(vm.toString(address(PoseidonT2)), "0x", "");
        return vm.replace(bytecodeOf(contract_), string(mark), library_);
    }

    function check(bytes memory artifact, bytes memory compiled) internal pure {
        assertEq(keccak256(artifact), keccak256(compiled), "stale: run `cargo run -p xmtp-contracts-build`");
    }

    function slice(bytes memory text, uint256 length) internal pure returns (bytes memory first) {
        first = new bytes(length);
        for (uint256 index = 0; index < length; index++) {
            first[index] = text[index];
        }
    }
}
