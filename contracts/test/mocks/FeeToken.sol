// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @dev Keeps a fee of every transfer for itself (or, with a bonus, adds to it): what `Postage` must refuse.
contract FeeToken is ERC20 {
    int256 internal immutable FEE;

    constructor(int256 fee) ERC20("Fee", "FEE") {
        FEE = fee;
    }

    function mint(address to, uint256 value) external {
        _mint(to, value);
    }

    function burn(uint256 value) external {
        _burn(msg.sender, value);
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        super.transferFrom(from, to, value);
        if (FEE > 0) _burn(to, uint256(FEE));
        else _mint(to, uint256(-FEE));
        return true;
    }
}
