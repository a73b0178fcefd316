// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {CommonBase} from "forge-std/Base.sol";
import {StdAssertions} from "forge-std/StdAssertions.sol";
import {StdUtils} from "forge-std/StdUtils.sol";
import {PoseidonT2} from "poseidon-solidity/PoseidonT2.sol";

import {IPostage} from "../../src/interfaces/IPostage.sol";
import {IXmtpToken} from "../../src/interfaces/IXmtpToken.sol";

/// @dev Everybody at once: buys, slashes, returns, releases, burns, deposits, debits, and lets time pass. It keeps its own
/// books beside the contract's, so that invariants compare two accounts of the same story.
contract Handler is CommonBase, StdAssertions, StdUtils {
    /// @dev How a book ended, if it did.
    enum Fate {
        Open,
        Slashed,
        Returned
    }

    struct Sold {
        uint256 secret;
        uint256 commitment;
        address buyer;
        uint32 denomination;
        uint32 count;
        uint32 issue;
        uint256 leaf;
        bytes32 group;
        Fate fate;
    }

    struct Mirror {
        bytes32 chain;
        uint256 stamps;
        uint256 leaves;
    }

    IXmtpToken internal immutable TOKEN;
    IPostage internal immutable POSTAGE;
    address internal immutable SETTLEMENT;

    address[] public people;
    address[] public operators;
    Sold[] internal books;
    bytes32[] internal groups;
    mapping(bytes32 group => Mirror) internal mirrors;
    /// @dev Denomination and issue of each group, as `burnExpired` and `release` want them.
    mapping(bytes32 group => uint32[2]) internal keys;

    uint256 public sold;
    uint256 public burnedAtSale;
    uint256 public released;
    uint256 public expired;
    uint256 public bonds;
    uint256 public burnedBonds;
    uint256 public burnedDebits;
    /// @dev How often each deed was done, refusals left out; a test asks whether all of them happen.
    mapping(bytes4 deed => uint256) public done;

    constructor(IXmtpToken token, IPostage postage, address treasury) {
        (TOKEN, POSTAGE, SETTLEMENT) = (token, postage, postage.SETTLEMENT());
        for (uint160 index = 1; index <= 3; index++) {
            people.push(address(0xb0b0000 + index));
            operators.push(address(0x09e0000 + index));
        }
        for (uint256 index = 0; index < people.length; index++) {
            vm.prank(treasury);
            assertTrue(token.transfer(people[index], 1_000_000_000 ether), "funded");
            vm.prank(people[index]);
            token.approve(address(postage), type(uint256).max);
        }
    }

    /* DEEDS */

    function buy(uint256 who, uint256 denominationSeed, uint256 count) external {
        uint32[9] memory denominations = [uint32(1), 2, 5, 10, 20, 50, 100, 200, 500];
        Sold memory it;
        it.denomination = denominations[(denominationSeed % 3) * 4]; // three will do, or groups would stay small
        it.count = uint32(bound(count, 1, 65_536));
        it.secret = books.length;
        it.commitment = PoseidonT2.hash([it.secret]);
        it.buyer = people[who % people.length];
        it.issue = POSTAGE.currentIssue();
        it.group = POSTAGE.groupId(it.denomination, it.issue);
        (uint256 value, uint256 bond) = POSTAGE.quote(it.denomination, it.count);

        uint256 supply = TOKEN.totalSupply();
        vm.prank(it.buyer);
        if (who % 2 == 0) POSTAGE.buy(it.denomination, it.count, it.commitment);
        // A permit that fails is passed over.
        else POSTAGE.buyWithPermit(it.denomination, it.count, it.commitment, 0, 27, 0, 0);

        burnedAtSale += supply - TOKEN.totalSupply();
        sold += value;
        bonds += bond;
        Mirror storage mirror = mirrors[it.group];
        it.leaf = mirror.leaves;
        books.push(it);
        if (mirror.leaves == 0) {
            groups.push(it.group);
            keys[it.group] = [it.denomination, it.issue];
        }
        mirror.chain = link(mirror.chain, 1, it.commitment, it.count);
        mirror.stamps += it.count;
        mirror.leaves += 1;
        done[msg.sig]++;
    }

    /// @dev Also of books that are closed: those must be refused.
    function slash(uint256 which, uint256 who) external {
        if (books.length == 0) return;
        Sold storage it = books[which % books.length];
        address reporter = people[who % people.length];
        uint256 supply = TOKEN.totalSupply();
        uint256 credit = POSTAGE.credits(reporter);
        if (it.fate != Fate.Open) vm.expectRevert(IPostage.BondGone.selector);
        POSTAGE.slash(it.secret, reporter);
        if (it.fate != Fate.Open) return;

        (, uint256 bond) = POSTAGE.quote(it.denomination, it.count);
        assertEq(POSTAGE.credits(reporter) - credit, bond / 10, "a tenth");
        it.fate = Fate.Slashed;
        burnedBonds += supply - TOKEN.totalSupply();
        bonds -= bond;
        done[msg.sig]++;
        Mirror storage mirror = mirrors[it.group];
        mirror.chain = link(mirror.chain, 3, it.commitment, it.count);
    }

    /// @dev Also too early, and of books that are closed.
    function returnBond(uint256 which) external {
        if (books.length == 0) return;
        Sold storage it = books[which % books.length];
        uint256 from = POSTAGE.validUntil(it.issue) + 14 days;
        bool refused = it.fate != Fate.Open || block.timestamp < from;
        uint256 before = TOKEN.balanceOf(it.buyer);
        if (it.fate != Fate.Open) vm.expectRevert(IPostage.BondGone.selector);
        else if (refused) vm.expectRevert(abi.encodeWithSelector(IPostage.TooEarly.selector, from));
        POSTAGE.returnBond(it.commitment);
        if (refused) return;

        (, uint256 bond) = POSTAGE.quote(it.denomination, it.count);
        assertEq(TOKEN.balanceOf(it.buyer) - before, bond, "the whole bond");
        it.fate = Fate.Returned;
        bonds -= bond;
        done[msg.sig]++;
    }

    function withdraw(uint256 who) external {
        address account = who % 2 == 0 ? people[who / 2 % people.length] : operators[who / 2 % operators.length];
        if (POSTAGE.credits(account) == 0) vm.expectRevert(IPostage.NothingDue.selector);
        else done[msg.sig]++;
        vm.prank(account);
        POSTAGE.withdraw();
    }

    function release(uint256 which, uint256 amount, uint256 to) external {
        if (groups.length == 0) return;
        bytes32 group = groups[which % groups.length];
        amount = bound(amount, 0, POSTAGE.groupOf(group).held);
        (uint32 denomination, uint32 issue) = (keys[group][0], keys[group][1]);
        vm.prank(SETTLEMENT);
        POSTAGE.release(issue, denomination, operators[to % operators.length], amount);
        released += amount;
        if (amount > 0) done[msg.sig]++;
    }

    function burnExpired(uint256 which) external {
        if (groups.length == 0) return;
        bytes32 group = groups[which % groups.length];
        (uint32 denomination, uint32 issue) = (keys[group][0], keys[group][1]);
        uint256 from = POSTAGE.validUntil(issue) + 180 days;
        uint256 held = POSTAGE.groupOf(group).held;
        bool refused = block.timestamp < from || held == 0;
        if (block.timestamp < from) vm.expectRevert(abi.encodeWithSelector(IPostage.TooEarly.selector, from));
        else if (refused) vm.expectRevert(IPostage.NothingDue.selector);
        POSTAGE.burnExpired(issue, denomination);
        if (refused) return;
        expired += held;
        done[msg.sig]++;
    }

    function depositFor(uint256 who, uint256 operator, uint256 amount, uint256 daily) external {
        address payer = people[who % people.length];
        amount = bound(amount, 1, 1000 ether);
        daily = bound(daily, 1, 1000 ether);
        address debitor = operators[operator % operators.length];
        IPostage.Deposit memory deposit = POSTAGE.depositOf(payer, payer, debitor);
        bool refused = deposit.balance > 0 && daily < deposit.daily;
        if (refused) {
            vm.expectRevert(abi.encodeWithSelector(IPostage.DailyAmountLowered.selector, uint256(deposit.daily)));
        }
        vm.prank(payer);
        POSTAGE.depositFor(payer, debitor, amount, daily);
        if (!refused) done[msg.sig]++;
    }

    function debit(uint256 who, uint256 operator, uint256 amount) external {
        address payer = people[who % people.length];
        address debitor = operators[operator % operators.length];
        IPostage.Deposit memory deposit = POSTAGE.depositOf(payer, payer, debitor);
        uint256 spent = deposit.day == block.timestamp / 1 days ? deposit.spent : 0;
        uint256 available = deposit.daily > spent ? deposit.daily - spent : 0;
        if (available > deposit.balance) available = deposit.balance;
        if (available == 0) return;
        uint256 supply = TOKEN.totalSupply();
        vm.prank(debitor);
        POSTAGE.debit(payer, payer, bound(amount, 1, available));
        burnedDebits += supply - TOKEN.totalSupply();
        done[msg.sig]++;
    }

    function giveNotice(uint256 who, uint256 operator) external {
        address payer = people[who % people.length];
        address debitor = operators[operator % operators.length];
        if (POSTAGE.depositOf(payer, payer, debitor).balance == 0) vm.expectRevert(IPostage.NothingDue.selector);
        else done[msg.sig]++;
        vm.prank(payer);
        POSTAGE.giveNotice(payer, debitor);
    }

    function returnDeposit(uint256 who, uint256 operator) external {
        address payer = people[who % people.length];
        address debitor = operators[operator % operators.length];
        IPostage.Deposit memory deposit = POSTAGE.depositOf(payer, payer, debitor);
        if (deposit.withdrawableFrom == 0) vm.expectRevert(IPostage.NoNotice.selector);
        else if (block.timestamp < deposit.withdrawableFrom) vm.expectPartialRevert(IPostage.TooEarly.selector);
        else if (deposit.balance == 0) vm.expectRevert(IPostage.NothingDue.selector);
        else done[msg.sig]++;
        vm.prank(payer);
        POSTAGE.returnDeposit(payer, debitor);
    }

    /// @dev Hours to most of a year, so that a run sees bonds return and issues expire.
    function pass(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 1 hours, 300 days));
    }

    /* ACCOUNTS */

    function totalHeld() external view returns (uint256 sum) {
        for (uint256 index = 0; index < groups.length; index++) {
            sum += POSTAGE.groupOf(groups[index]).held;
        }
    }

    function totalCredits() external view returns (uint256 sum) {
        for (uint256 index = 0; index < people.length; index++) {
            sum += POSTAGE.credits(people[index]) + POSTAGE.credits(operators[index]);
        }
    }

    function totalDeposits() external view returns (uint256 sum) {
        for (uint256 payer = 0; payer < people.length; payer++) {
            for (uint256 operator = 0; operator < operators.length; operator++) {
                sum += POSTAGE.depositOf(people[payer], people[payer], operators[operator]).balance;
            }
        }
    }

    function allBooks() external view returns (Sold[] memory) {
        return books;
    }

    function allGroups() external view returns (bytes32[] memory) {
        return groups;
    }

    function mirrorOf(bytes32 group) external view returns (Mirror memory) {
        return mirrors[group];
    }

    function link(bytes32 chain, uint8 kind, uint256 commitment, uint32 limit) internal pure returns (bytes32) {
        return keccak256(bytes.concat(chain, bytes1(kind), bytes32(commitment), bytes4(limit)));
    }
}
