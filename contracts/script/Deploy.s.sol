// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Script} from "forge-std/Script.sol";
import {VmSafe} from "forge-std/Vm.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {PoseidonT2} from "poseidon-solidity/PoseidonT2.sol";

import {Postage} from "../src/Postage.sol";
import {XmtpToken} from "../src/XmtpToken.sol";

/// @title Deploys the contracts and writes their addresses; nothing else
/// @notice Reads the environment (see README.md): `XMTP_TOKEN` or `XMTP_TOKEN_RECIPIENT`, `XMTP_SETTLEMENT`,
/// `XMTP_UNIT_PRICE`, `XMTP_ISSUE_SECONDS`, `XMTP_BURN_BPS`, `XMTP_BOND_BPS`, `XMTP_DEPLOYMENT`.
contract Deploy is Script {
    using SafeCast for uint256;

    /// @dev Chain id of anvil and other development chains.
    uint256 internal constant DEVELOPMENT = 31_337;

    /// @dev How the code of an account begins that delegates to a contract (EIP-7702). Its key still speaks for it.
    bytes3 internal constant DELEGATION = 0xef0100;

    /// @notice What a deployment is told. Everything but the file becomes immutable.
    struct Parameters {
        /// @dev An existing token; zero to deploy one.
        address token;
        /// @dev Who receives the supply of a new token.
        address tokenRecipient;
        address settlement;
        uint96 unitPrice;
        uint32 issueSeconds;
        uint16 burnBps;
        uint16 bondBps;
        /// @dev Where the addresses are written.
        string file;
    }

    /// @notice Only a contract can be trusted with the money of those who carry the mail; on a development chain alone
    /// may an ordinary account stand in for it. An account that delegates to a contract is an ordinary one.
    error SettlementHasNoCode(address settlement);

    /// @notice The token named by `XMTP_TOKEN` has no code on this chain.
    error TokenHasNoCode(address token);

    /// @notice What `forge script` runs.
    function run() external returns (address token, address postage) {
        Parameters memory parameters = fromEnvironment(msg.sender);
        check(parameters);

        vm.startBroadcast();
        token = parameters.token == address(0) ? address(new XmtpToken(parameters.tokenRecipient)) : parameters.token;
        postage = address(
            new Postage(
                token,
                parameters.settlement,
                parameters.unitPrice,
                parameters.issueSeconds,
                parameters.burnBps,
                parameters.bondBps
            )
        );
        vm.stopBroadcast();

        // A rehearsal must leave no addresses behind that nobody lives at.
        if (vm.isContext(VmSafe.ForgeContext.ScriptBroadcast) || vm.isContext(VmSafe.ForgeContext.ScriptResume)) {
            vm.writeFile(parameters.file, describe(Postage(postage)));
        }
    }

    /// @notice The environment's parameters, with defaults where a default is safe.
    function fromEnvironment(address deployer) public view returns (Parameters memory parameters) {
        bool development = block.chainid == DEVELOPMENT;
        parameters.token = vm.envOr("XMTP_TOKEN", address(0));
        parameters.tokenRecipient = vm.envOr("XMTP_TOKEN_RECIPIENT", deployer);
        parameters.settlement = development ? vm.envOr("XMTP_SETTLEMENT", deployer) : vm.envAddress("XMTP_SETTLEMENT");
        parameters.unitPrice = vm.envOr("XMTP_UNIT_PRICE", uint256(0.001 ether)).toUint96();
        parameters.issueSeconds = vm.envOr("XMTP_ISSUE_SECONDS", uint256(7_889_400)).toUint32();
        parameters.burnBps = vm.envOr("XMTP_BURN_BPS", uint256(3000)).toUint16();
        parameters.bondBps = vm.envOr("XMTP_BOND_BPS", uint256(1000)).toUint16();
        parameters.file =
            vm.envOr("XMTP_DEPLOYMENT", string.concat("deployments/", vm.toString(block.chainid), ".json"));
    }

    /// @notice Refuses what the contracts themselves cannot see or would see too late.
    function check(Parameters memory parameters) public view {
        if (block.chainid != DEVELOPMENT && !isContract(parameters.settlement)) {
            revert SettlementHasNoCode(parameters.settlement);
        }
        if (parameters.token != address(0) && !isContract(parameters.token)) {
            revert TokenHasNoCode(parameters.token);
        }
    }

    function isContract(address account) internal view returns (bool) {
        bytes memory code = account.code;
        return code.length != 0 && bytes3(code) != DELEGATION;
    }

    /// @notice The deployment as JSON: what nodes and clients read. Wei is text, since JSON numbers end at 2^53.
    function describe(Postage postage) public returns (string memory json) {
        string memory object = "deployment";
        vm.serializeUint(object, "chainId", block.chainid);
        // That of the rehearsal: nothing these contracts emit can be older.
        vm.serializeUint(object, "block", block.number);
        vm.serializeAddress(object, "token", postage.TOKEN());
        vm.serializeAddress(object, "postage", address(postage));
        vm.serializeAddress(object, "poseidon", address(PoseidonT2));
        vm.serializeAddress(object, "settlement", postage.SETTLEMENT());
        vm.serializeBytes32(object, "networkId", postage.networkId());
        vm.serializeString(object, "unitPrice", vm.toString(postage.UNIT_PRICE()));
        vm.serializeUint(object, "issueSeconds", postage.ISSUE_SECONDS());
        vm.serializeUint(object, "burnBps", postage.BURN_BPS());
        return vm.serializeUint(object, "bondBps", postage.BOND_BPS());
    }
}
