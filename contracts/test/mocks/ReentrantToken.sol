// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @dev Calls back once, whatever it was told, at its next movement of tokens, and passes on how that failed.
contract ReentrantToken is ERC20 {
    address internal target;
    bytes internal callback;

    constructor() ERC20("Reentrant", "RE") {}

    function mint(address to, uint256 value) external {
        _mint(to, value);
    }

    function burn(uint256 value) external {
        _burn(msg.sender, value);
    }

    function arm(address target_, bytes calldata callback_) external {
        (target, callback) = (target_, callback_);
    }

    /// @dev So that the callback may come from somebody who has a book, a credit or a deposit: the token itself.
    function act(address target_, bytes calldata data) external {
        forward(target_, data);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (target == address(0)) return;
        address armed = target;
        target = address(0);
        forward(armed, callback);
    }

    function forward(address to, bytes memory data) internal {
        (bool success, bytes memory answer) = to.call(data);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(answer, 0x20), mload(answer))
            }
        }
    }
}
