// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title The $XMTP token
/// @dev Documented in `IXmtpToken`, whose functions it has without inheriting it: both it and OpenZeppelin's base
/// declare the events of ERC-20, and one of the texts must stay free of imports.
contract XmtpToken is ERC20Permit {
    /// @notice All that will ever exist: ten thousand million tokens, in wei.
    uint256 public constant SUPPLY = 10_000_000_000 ether;

    /// @param recipient Receives the whole supply.
    constructor(address recipient) ERC20("XMTP", "XMTP") ERC20Permit("XMTP") {
        _mint(recipient, SUPPLY);
    }

    /// @notice Destroys `value` wei of the caller's tokens.
    function burn(uint256 value) external {
        _burn(msg.sender, value);
    }
}
