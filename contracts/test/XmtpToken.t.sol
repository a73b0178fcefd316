// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

import {XmtpToken} from "../src/XmtpToken.sol";
import {IXmtpToken} from "../src/interfaces/IXmtpToken.sol";
import {Base} from "./Base.t.sol";

/// @dev Every call goes through `IXmtpToken`: so the interface is held against the contract that does not inherit it.
contract XmtpTokenTest is Base {
    function test_theSupplyIsMintedOnceToTheRecipient() public {
        vm.expectEmit();
        emit IXmtpToken.Transfer(address(0), stranger, SUPPLY);
        IXmtpToken fresh = IXmtpToken(address(new XmtpToken(stranger)));
        assertEq(fresh.totalSupply(), SUPPLY, "supply");
        assertEq(fresh.balanceOf(stranger), SUPPLY, "recipient");
    }

    function test_itsNamesAreWhatWalletsShow() public view {
        assertEq(token.name(), "XMTP", "name");
        assertEq(token.symbol(), "XMTP", "symbol");
        assertEq(token.decimals(), 18, "decimals");
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("XMTP"),
                keccak256("1"),
                block.chainid,
                address(token)
            )
        );
        assertEq(token.DOMAIN_SEPARATOR(), domain, "domain");
    }

    function test_transfersMoveExactlyWhatIsAsked(uint256 value) public {
        value = bound(value, 0, token.balanceOf(buyer));
        uint256 before = token.balanceOf(buyer);
        vm.expectEmit(address(token));
        emit IXmtpToken.Transfer(buyer, stranger, value);
        vm.prank(buyer);
        assertTrue(token.transfer(stranger, value), "says so");
        assertEq(token.balanceOf(stranger), value, "arrived");
        assertEq(token.balanceOf(buyer), before - value, "left");
    }

    function test_allowancesBoundTransfersFrom(uint256 allowed) public {
        allowed = bound(allowed, 0, token.balanceOf(buyer) - 1);
        vm.expectEmit(address(token));
        emit IXmtpToken.Approval(buyer, stranger, allowed);
        vm.prank(buyer);
        assertTrue(token.approve(stranger, allowed), "says so");

        vm.startPrank(stranger);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, stranger, allowed, allowed + 1)
        );
        token.transferFrom(buyer, stranger, allowed + 1);
        assertTrue(token.transferFrom(buyer, stranger, allowed), "within it");
        vm.stopPrank();
        assertEq(token.allowance(buyer, stranger), 0, "used up");
    }

    function test_burningLowersTheSupply(uint256 value) public {
        value = bound(value, 0, token.balanceOf(buyer));
        vm.expectEmit(address(token));
        emit IXmtpToken.Transfer(buyer, address(0), value);
        vm.prank(buyer);
        token.burn(value);
        assertEq(token.totalSupply(), SUPPLY - value, "supply");
    }

    function test_nobodyBurnsMoreThanTheyHave() public {
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InsufficientBalance.selector, stranger, 0, 1));
        vm.prank(stranger);
        token.burn(1);
    }

    function test_aPermitSetsTheAllowanceOnce(uint256 value) public {
        vm.prank(buyer);
        token.approve(address(postage), 0);
        (uint8 v, bytes32 r, bytes32 s) = signPermit(value, block.timestamp);
        token.permit(buyer, address(postage), value, block.timestamp, v, r, s);
        assertEq(token.allowance(buyer, address(postage)), value, "allowance");
        assertEq(token.nonces(buyer), 1, "nonce");

        vm.expectPartialRevert(ERC20Permit.ERC2612InvalidSigner.selector);
        token.permit(buyer, address(postage), value, block.timestamp, v, r, s);
    }

    function test_aPermitExpires() public {
        (uint8 v, bytes32 r, bytes32 s) = signPermit(1, block.timestamp - 1);
        vm.expectRevert(abi.encodeWithSelector(ERC20Permit.ERC2612ExpiredSignature.selector, block.timestamp - 1));
        token.permit(buyer, address(postage), 1, block.timestamp - 1, v, r, s);
    }
}
