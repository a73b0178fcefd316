// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IClaims} from "../src/interfaces/IClaims.sol";
import {Base} from "./Base.t.sol";
import {ClaimsBase} from "./claims/ClaimsBase.t.sol";

/// @dev What users pay, in snapshots/. Every call is a transaction of its own (`isolate`): with its 21,000,
/// its call data, storage cold, refunds made. Usual means: not the group's first book, nor the account's first permit
/// or credit.
/// forge-config: default.isolate = true
contract GasTest is Base {
    uint32 internal constant DENOMINATION = 5;
    uint32 internal constant COUNT = 100;

    function setUp() public override {
        super.setUp();
        vm.warp(uint256(postage.currentIssue()) * ISSUE_SECONDS + 1 days);
        buyWithSecret(DENOMINATION, COUNT, 1);
        buyWithSecret(DENOMINATION, COUNT, 2);
        buyWithPermit(3);
        vm.prank(buyer);
        token.approve(address(postage), type(uint256).max);
        postage.slash(1, reporter);
    }

    function buyWithPermit(uint256 commitment) internal {
        (uint256 value, uint256 bond) = postage.quote(DENOMINATION, COUNT);
        (uint8 v, bytes32 r, bytes32 s) = signPermit(value + bond, block.timestamp);
        vm.prank(buyer);
        postage.buyWithPermit(DENOMINATION, COUNT, commitment, block.timestamp, v, r, s);
    }

    function snapshot(string memory name, uint256 most) internal {
        assertLe(vm.snapshotGasLastCall("Postage", name), most, name);
    }

    function test_buy() public {
        buy(DENOMINATION, COUNT, commitmentOf(42));
        snapshot("buy", 110_000);
    }

    function test_buyOfAnExactAllowance() public {
        (uint256 value, uint256 bond) = postage.quote(DENOMINATION, COUNT);
        vm.prank(buyer);
        token.approve(address(postage), value + bond);
        buy(DENOMINATION, COUNT, commitmentOf(42));
        snapshot("buy, exact allowance", 110_000);
    }

    function test_buyFirstOfTheGroup() public {
        buy(500, COUNT, commitmentOf(42));
        snapshot("buy, first of the group", 150_000);
    }

    function test_buyWithPermit() public {
        vm.prank(buyer);
        token.approve(address(postage), 0);
        buyWithPermit(commitmentOf(42));
        snapshot("buyWithPermit", 150_000);
    }

    function test_slash() public {
        postage.slash(2, reporter);
        snapshot("slash", 120_000);
    }

    function test_slashReportersFirst() public {
        postage.slash(2, stranger);
        snapshot("slash, reporter's first", 120_000);
    }

    function test_returnBond() public {
        uint256 commitment = commitmentOf(2);
        vm.warp(postage.validUntil(postage.currentIssue()) + 14 days);
        postage.returnBond(commitment);
        snapshot("returnBond", 80_000);
    }

    function test_withdraw() public {
        vm.prank(reporter);
        postage.withdraw();
        snapshot("withdraw", 80_000);
    }

    function test_release() public {
        uint32 issue = postage.currentIssue();
        vm.prank(settlement);
        postage.release(issue, DENOMINATION, operator, 1 ether / 10);
        snapshot("release", 90_000);
    }

    function test_depositFor() public {
        vm.prank(buyer);
        postage.depositFor(wallet, operator, 1 ether, 1 ether);
        snapshot("depositFor", 130_000);
    }

    function test_debit() public {
        vm.prank(buyer);
        postage.depositFor(wallet, operator, 1 ether, 1 ether);
        vm.prank(operator);
        postage.debit(buyer, wallet, 0.5 ether);
        snapshot("debit", 110_000);
    }
}

/// @dev In snapshots/Stake.json. Usual means: not the tier's first stake, nor the reporter's first credit.
/// forge-config: default.isolate = true
contract StakeGasTest is Base {
    function setUp() public override {
        super.setUp();
        stake(commitmentOf(1));
        stake(commitmentOf(2));
        stakes.slash(1, reporter);
    }

    function stake(uint256 commitment) internal {
        vm.prank(buyer);
        stakes.stake(1, commitment);
    }

    function snapshot(string memory name, uint256 most) internal {
        assertLe(vm.snapshotGasLastCall("Stake", name), most, name);
    }

    function test_stake() public {
        stake(commitmentOf(42));
        snapshot("stake", 110_000);
    }

    function test_stakeFirstOfTheTier() public {
        uint256 commitment = commitmentOf(42);
        vm.prank(buyer);
        stakes.stake(2, commitment);
        snapshot("stake, first of the tier", 140_000);
    }

    function test_stakeWithPermit() public {
        (uint8 v, bytes32 r, bytes32 s) = signPermit(address(stakes), stakes.tierOf(1).amount, block.timestamp);
        uint256 commitment = commitmentOf(42);
        vm.prank(buyer);
        stakes.stakeWithPermit(1, commitment, block.timestamp, v, r, s);
        snapshot("stakeWithPermit", 160_000);
    }

    function test_requestExit() public {
        uint256 commitment = commitmentOf(2);
        vm.prank(buyer);
        stakes.requestExit(commitment);
        snapshot("requestExit", 60_000);
    }

    function test_withdraw() public {
        uint256 commitment = commitmentOf(2);
        vm.prank(buyer);
        stakes.requestExit(commitment);
        vm.warp(block.timestamp + 7 days);
        stakes.withdraw(commitment);
        snapshot("withdraw", 80_000);
    }

    function test_slash() public {
        stakes.slash(2, reporter);
        snapshot("slash", 120_000);
    }

    function test_withdrawCredit() public {
        vm.prank(reporter);
        stakes.withdrawCredit();
        snapshot("withdrawCredit", 80_000);
    }
}

/// @dev In snapshots/Claims.json. Usual means: not the group's first leaf, nor the claim's first two snapshots.
/// forge-config: default.isolate = true
contract ClaimsGasTest is ClaimsBase {
    bytes32 internal registered_;
    bytes32 internal issued_;
    uint32 internal generation;

    function setUp() public override {
        super.setUp();
        (registered_, issued_) = (claims.declare(registered()), claims.declare(issued(IClaims.Kind.Erc20)));
        generation = claims.currentGeneration();
        for (uint256 tokenId = 1; tokenId <= 3; tokenId++) {
            collection.mint(buyer, tokenId);
        }
        register(1, commitmentOf(1));
        register(2, commitmentOf(2));
        anchor(1);
        anchor(2);
    }

    function register(uint256 tokenId, uint256 commitment) internal {
        vm.prank(buyer);
        claims.register(registered_, generation, tokenId, commitment);
    }

    /// @dev With two signatures of three issuers.
    function anchor(uint64 number) internal {
        IClaims.Snapshot memory it =
            IClaims.Snapshot(generation, number, keccak256("block"), keccak256("contacts"), 1000, new uint256[](1));
        it.roots[0] = FIELD - 1;
        bytes[] memory signatures = new bytes[](2);
        for (uint256 index = 0; index < 2; index++) {
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(issuerKeys[index], claims.snapshotDigest(issued_, it));
            signatures[index] = bytes.concat(r, s, bytes1(v));
        }
        claims.anchor(issued_, it, signatures);
    }

    function snapshot(string memory name, uint256 most) internal {
        assertLe(vm.snapshotGasLastCall("Claims", name), most, name);
    }

    function test_declare() public {
        IClaims.Claim memory terms = issued(IClaims.Kind.Native);
        claims.declare(terms);
        snapshot("declare, three issuers", 300_000);
    }

    function test_anchor() public {
        anchor(3);
        snapshot("anchor, two signatures of three", 120_000);
    }

    function test_register() public {
        uint256 commitment = commitmentOf(42);
        register(3, commitment);
        snapshot("register", 150_000);
    }

    function test_registerReplaces() public {
        uint256 commitment = commitmentOf(42);
        register(1, commitment);
        snapshot("register, replacing", 150_000);
    }

    function test_prune() public {
        vm.prank(buyer);
        collection.transferFrom(buyer, stranger, 1);
        claims.prune(registered_, generation, 1);
        snapshot("prune", 100_000);
    }
}
