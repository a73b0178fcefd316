// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Deploy} from "../script/Deploy.s.sol";
import {Base} from "./Base.t.sol";

/// @dev What the script refuses before it deploys anything; rust/tests/chain.rs runs all of it.
contract DeployTest is Base {
    Deploy internal script;
    Deploy.Parameters internal parameters;

    function setUp() public override {
        super.setUp();
        script = new Deploy();
        parameters.token = address(token);
        parameters.settlement = settlement;
        vm.chainId(1);
    }

    function test_aSettlementNeedsCode() public {
        vm.expectRevert(abi.encodeWithSelector(Deploy.SettlementHasNoCode.selector, settlement));
        script.check(parameters);
        vm.etch(settlement, hex"00");
        script.check(parameters);
    }

    /// @dev Its code is somebody else's, and its key can do whatever it likes.
    function test_anAccountThatDelegatesIsNoSettlement() public {
        vm.etch(settlement, bytes.concat(hex"ef0100", bytes20(address(token))));
        vm.expectRevert(abi.encodeWithSelector(Deploy.SettlementHasNoCode.selector, settlement));
        script.check(parameters);
    }

    function test_onADevelopmentChainAnAccountWillDo() public {
        vm.chainId(31_337);
        script.check(parameters);
    }

    function test_aTokenNeedsCode() public {
        vm.etch(settlement, hex"00");
        parameters.token = stranger;
        vm.expectRevert(abi.encodeWithSelector(Deploy.TokenHasNoCode.selector, stranger));
        script.check(parameters);
        parameters.token = address(0);
        script.check(parameters);
    }

    function test_aDeploymentOnRecordIsNotWrittenOver() public {
        string memory file = string.concat("cache/test-", vm.toString(vm.randomUint()), ".json");
        script.checkFile(file);
        vm.writeFile(file, "{}");
        vm.expectRevert(abi.encodeWithSelector(Deploy.DeploymentExists.selector, file));
        script.checkFile(file);
        vm.removeFile(file);
    }
}
