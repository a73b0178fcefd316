// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Script} from "forge-std/Script.sol";
import {stdJson} from "forge-std/StdJson.sol";
import {VmSafe} from "forge-std/Vm.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {PoseidonT2} from "poseidon-solidity/PoseidonT2.sol";

import {Claims} from "../src/Claims.sol";
import {Postage} from "../src/Postage.sol";
import {Stake} from "../src/Stake.sol";
import {XmtpToken} from "../src/XmtpToken.sol";
import {IStake} from "../src/interfaces/IStake.sol";

/// @title Deploys the contracts and writes their addresses; nothing else
/// @notice In two steps: `run` deploys, and leaves a note of where; `confirm` asks the chain what stands there, and writes
/// the deployment. Reads the environment (see README.md): `XMTP_TOKEN` or `XMTP_TOKEN_RECIPIENT`, `XMTP_SETTLEMENT`,
/// `XMTP_UNIT_PRICE`, `XMTP_ISSUE_SECONDS`, `XMTP_BURN_BPS`, `XMTP_BOND_BPS`, `XMTP_TIER_AMOUNTS`, `XMTP_TIER_LIMITS`,
/// `XMTP_DEPLOYMENT`, `XMTP_REPLACE`.
contract Deploy is Script {
    using SafeCast for uint256;
    using stdJson for string;

    /// @dev Chain id of anvil and other development chains.
    uint256 internal constant DEVELOPMENT = 31_337;

    /// @dev How the code of an account begins that delegates to a contract (EIP-7702). Its key still speaks for it.
    bytes3 internal constant DELEGATION = 0xef0100;

    /// @notice What a deployment is told, for ever.
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
        IStake.Tier[] tiers;
    }

    /// @notice Only a contract can be trusted with the money of those who carry the mail; on a development chain alone
    /// may an ordinary account stand in for it. An account that delegates to a contract is an ordinary one.
    error SettlementHasNoCode(address settlement);

    /// @notice The token named by `XMTP_TOKEN` has no code on this chain.
    error TokenHasNoCode(address token);

    /// @notice There is a deployment on record, or one that waits to be confirmed. The deployer's to decide: another
    /// `XMTP_DEPLOYMENT`, or, to write over it on purpose, `XMTP_REPLACE=true` in both steps.
    error DeploymentExists(string file);

    /// @notice `XMTP_TIER_AMOUNTS` and `XMTP_TIER_LIMITS` name one of each for every tier.
    error TiersDoNotMatch(uint256 amounts, uint256 limits);

    /// @notice Nothing was deployed that could be confirmed: `run` with `--broadcast` comes first.
    error NothingToConfirm(string file);

    /// @notice The note says that a contract lives there, and the chain says that none does: its transaction was never
    /// mined, or this is another chain. Go on with `--resume`, and confirm then.
    error NotDeployed(string key, address account);

    /// @notice The note is about the chain with this id, and the RPC endpoint serves another.
    error AnotherChain(uint256 chainId);

    /// @notice What `forge script` runs.
    function run() external returns (address token, address postage, address stake, address claims) {
        Parameters memory parameters = fromEnvironment(msg.sender);
        check(parameters);
        string memory file = fileFromEnvironment();
        checkFile(file);
        checkFile(pending(file));

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
        stake = address(new Stake(postage, parameters.tiers));
        claims = address(new Claims(postage));
        vm.stopBroadcast();

        // A rehearsal must leave no addresses behind that nobody lives at.
        if (vm.isContext(VmSafe.ForgeContext.ScriptBroadcast)) {
            vm.createDir("deployments", true);
            vm.writeFile(pending(file), describe(Postage(postage), Stake(stake), Claims(claims), block.number));
        }
    }

    /// @notice Writes the deployment that `run` left a note of, as the chain has it. Sends nothing:
    /// `forge script script/Deploy.s.sol --sig 'confirm()' --rpc-url …`.
    function confirm() external {
        string memory file = fileFromEnvironment();
        string memory note = pending(file);
        if (!vm.exists(note)) revert NothingToConfirm(note);
        checkFile(file);

        string memory json = vm.readFile(note);
        uint256 chainId = json.readUint(".chainId");
        if (chainId != block.chainid) revert AnotherChain(chainId);
        Postage postage = Postage(deployed(json, ".postage"));
        Stake stake = Stake(deployed(json, ".stake.contract"));
        Claims claims = Claims(deployed(json, ".claims"));
        vm.writeFile(file, describe(postage, stake, claims, json.readUint(".block")));
        vm.removeFile(note);
    }

    /// @dev The address that the note gives for a contract, if there is one.
    function deployed(string memory json, string memory key) internal view returns (address account) {
        account = json.readAddress(key);
        if (!isContract(account)) revert NotDeployed(key, account);
    }

    /// @dev Where the note lies until the deployment is confirmed.
    function pending(string memory file) internal pure returns (string memory) {
        return string.concat(file, ".pending");
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
        parameters.tiers = tiersFromEnvironment();
    }

    function fileFromEnvironment() internal view returns (string memory) {
        return vm.envOr("XMTP_DEPLOYMENT", string.concat("deployments/", vm.toString(block.chainid), ".json"));
    }

    function tiersFromEnvironment() internal view returns (IStake.Tier[] memory tiers) {
        uint256[] memory amounts = new uint256[](2);
        (amounts[0], amounts[1]) = (100 ether, 1000 ether);
        amounts = vm.envOr("XMTP_TIER_AMOUNTS", ",", amounts);
        uint256[] memory limits = new uint256[](2);
        (limits[0], limits[1]) = (100, 1000);
        limits = vm.envOr("XMTP_TIER_LIMITS", ",", limits);

        if (amounts.length != limits.length) revert TiersDoNotMatch(amounts.length, limits.length);
        tiers = new IStake.Tier[](amounts.length);
        for (uint256 index = 0; index < tiers.length; index++) {
            tiers[index] = IStake.Tier({amount: amounts[index].toUint128(), limit: limits[index].toUint32()});
        }
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

    /// @notice Refuses to write over a deployment: it may be one that people use.
    function checkFile(string memory file) public view {
        if (vm.exists(file) && !vm.envOr("XMTP_REPLACE", false)) revert DeploymentExists(file);
    }

    function isContract(address account) internal view returns (bool) {
        bytes memory code = account.code;
        return code.length != 0 && bytes3(code) != DELEGATION;
    }

    /// @notice The deployment as JSON: what nodes and clients read. Wei is text, since JSON numbers end at 2^53.
    function describe(Postage postage, Stake stake, Claims claims, uint256 number)
        internal
        returns (string memory json)
    {
        string memory object = "deployment";
        vm.serializeUint(object, "chainId", block.chainid);
        // That of the rehearsal: nothing these contracts emit can be older.
        vm.serializeUint(object, "block", number);
        vm.serializeAddress(object, "token", postage.TOKEN());
        vm.serializeAddress(object, "postage", address(postage));
        vm.serializeAddress(object, "poseidon", address(PoseidonT2));
        vm.serializeAddress(object, "settlement", postage.SETTLEMENT());
        vm.serializeBytes32(object, "networkId", postage.networkId());
        vm.serializeString(object, "unitPrice", vm.toString(postage.UNIT_PRICE()));
        vm.serializeUint(object, "issueSeconds", postage.ISSUE_SECONDS());
        vm.serializeUint(object, "burnBps", postage.BURN_BPS());
        vm.serializeUint(object, "bondBps", postage.BOND_BPS());
        vm.serializeAddress(object, "claims", address(claims));
        return vm.serializeString(object, "stake", describe(stake));
    }

    function describe(Stake stake) internal returns (string memory json) {
        IStake.Tier[] memory tiers = stake.tiers();
        string[] memory described = new string[](tiers.length);
        for (uint256 index = 0; index < tiers.length; index++) {
            string memory tier = string.concat("tier", vm.toString(index));
            vm.serializeString(tier, "amount", vm.toString(tiers[index].amount));
            described[index] = vm.serializeUint(tier, "limit", tiers[index].limit);
        }
        vm.serializeAddress("stake", "contract", address(stake));
        return vm.serializeString("stake", "tiers", described);
    }
}
