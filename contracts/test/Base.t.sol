// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {PoseidonT2} from "poseidon-solidity/PoseidonT2.sol";

import {Claims} from "../src/Claims.sol";
import {Postage} from "../src/Postage.sol";
import {Stake} from "../src/Stake.sol";
import {XmtpToken} from "../src/XmtpToken.sol";
import {IClaims} from "../src/interfaces/IClaims.sol";
import {IPostage} from "../src/interfaces/IPostage.sol";
import {IStake} from "../src/interfaces/IStake.sol";
import {IXmtpToken} from "../src/interfaces/IXmtpToken.sol";

/// @dev A deployment with its default parameters and a buyer who can pay, for stakes too. Tests speak to it through the interfaces.
abstract contract Base is Test {
    uint256 internal constant FIELD = 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;
    uint256 internal constant SUPPLY = 10_000_000_000 ether;
    uint96 internal constant UNIT_PRICE = 0.001 ether;
    uint32 internal constant ISSUE_SECONDS = 7_889_400;
    uint16 internal constant BURN_BPS = 3000;
    uint16 internal constant BOND_BPS = 1000;
    uint32 internal constant MAX_COUNT = 65_536;

    IXmtpToken internal token;
    IPostage internal postage;
    IStake internal stakes;
    IClaims internal claims;

    address internal buyer;
    uint256 internal buyerKey;
    address internal treasury = makeAddr("treasury");
    address internal settlement = makeAddr("settlement");
    address internal reporter = makeAddr("reporter");
    address internal stranger = makeAddr("stranger");
    address internal wallet = makeAddr("wallet");
    address internal operator = makeAddr("operator");

    function setUp() public virtual {
        // 2026-11-23: well inside an issue, and inside a day.
        vm.warp(1_795_435_200);
        (buyer, buyerKey) = makeAddrAndKey("buyer");
        token = IXmtpToken(address(new XmtpToken(treasury)));
        postage = deployPostage(address(token));
        stakes = deployStake(address(postage));
        claims = IClaims(address(new Claims(address(postage))));
        vm.prank(treasury);
        assertTrue(token.transfer(buyer, SUPPLY / 2), "the buyer is rich");
        vm.startPrank(buyer);
        token.approve(address(postage), type(uint256).max);
        token.approve(address(stakes), type(uint256).max);
        vm.stopPrank();
    }

    function deployPostage(address token_) internal returns (IPostage) {
        return IPostage(address(new Postage(token_, settlement, UNIT_PRICE, ISSUE_SECONDS, BURN_BPS, BOND_BPS)));
    }

    function deployStake(address postage_) internal returns (IStake) {
        return IStake(address(new Stake(postage_, defaultTiers())));
    }

    /* VALUES */

    function defaultTiers() internal pure returns (IStake.Tier[] memory tiers) {
        tiers = new IStake.Tier[](2);
        tiers[0] = IStake.Tier({amount: 100 ether, limit: 100});
        tiers[1] = IStake.Tier({amount: 1000 ether, limit: 1000});
    }

    function commitmentOf(uint256 secret) internal pure returns (uint256) {
        return PoseidonT2.hash([secret]);
    }

    function valueOf(uint32 denomination, uint32 count) internal pure returns (uint256) {
        return uint256(denomination) * count * UNIT_PRICE;
    }

    function denominations() internal pure returns (uint32[9] memory) {
        return [uint32(1), 2, 5, 10, 20, 50, 100, 200, 500];
    }

    /// @dev One of the nine, whatever the fuzzer came up with.
    function boundDenomination(uint256 seed) internal pure returns (uint32) {
        return denominations()[seed % 9];
    }

    function boundCount(uint256 seed) internal pure returns (uint32) {
        return uint32(bound(seed, 1, MAX_COUNT));
    }

    function currentGroup(uint32 denomination) internal view returns (bytes32) {
        return postage.groupId(denomination, postage.currentIssue());
    }

    /// @dev As the specification words it, byte by byte.
    function link(bytes32 chain, uint8 kind, uint256 commitment, uint32 limit) internal pure returns (bytes32) {
        return keccak256(bytes.concat(chain, bytes1(kind), bytes32(commitment), bytes4(limit)));
    }

    /* DEEDS */

    function buy(uint32 denomination, uint32 count, uint256 commitment) internal {
        vm.prank(buyer);
        postage.buy(denomination, count, commitment);
    }

    /// @dev Buys a book whose secret is known.
    function buyWithSecret(uint32 denomination, uint32 count, uint256 secret) internal returns (uint256 commitment) {
        commitment = commitmentOf(secret);
        buy(denomination, count, commitment);
    }

    /// @dev The buyer's signature under a permit for the postage contract.
    function signPermit(uint256 value, uint256 deadline) internal view returns (uint8 v, bytes32 r, bytes32 s) {
        return signPermit(address(postage), value, deadline);
    }

    function signPermit(address spender, uint256 value, uint256 deadline)
        internal
        view
        returns (uint8 v, bytes32 r, bytes32 s)
    {
        bytes32 message = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                buyer,
                spender,
                value,
                token.nonces(buyer),
                deadline
            )
        );
        return vm.sign(buyerKey, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), message)));
    }
}
