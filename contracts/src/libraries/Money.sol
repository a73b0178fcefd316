// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @title Money in, and what a report of a secret earns
library Money {
    using SafeERC20 for IERC20;

    uint256 private constant REWARD_DIVISOR = 10;

    /// @dev Takes `amount` from the caller and says whether exactly that arrived. A token that keeps a fee would leave
    /// less here than the books say, and the last to leave unpaid; two readings of a warm balance are a cheap way never
    /// to find out.
    function pull(address token, uint256 amount) internal returns (bool exact) {
        uint256 expected = IERC20(token).balanceOf(address(this)) + amount;
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        // slither-disable-next-line incorrect-equality
        return IERC20(token).balanceOf(address(this)) == expected;
    }

    /// @dev A tenth, rounded down. Nobody could withdraw what is credited to zero.
    function rewardOf(uint256 slashed, address reporter) internal pure returns (uint256) {
        return reporter == address(0) ? 0 : slashed / REWARD_DIVISOR;
    }
}
