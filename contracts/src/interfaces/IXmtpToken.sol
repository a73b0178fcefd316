// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title The $XMTP token
/// @notice An ERC-20 with EIP-2612 permits and burning. Its supply is minted once, at deployment, and can only shrink:
/// nobody can mint, pause, freeze or upgrade, and there is no owner.
/// @dev `Postage` relies on the token to move exactly the amount asked and on `burn` to lower the supply.
interface IXmtpToken {
    /// @notice ERC-20: `value` moved from `from` to `to`; from or to zero when it was minted or burned.
    event Transfer(address indexed from, address indexed to, uint256 value);

    /// @notice ERC-20: `spender` may now move `value` of `owner`'s tokens.
    event Approval(address indexed owner, address indexed spender, uint256 value);

    /// @notice The name, also of the EIP-712 domain: `XMTP`, version `1`.
    function name() external view returns (string memory);

    /// @notice The ticker: `XMTP`.
    function symbol() external view returns (string memory);

    /// @notice 18: amounts everywhere are in wei, 10^-18 of a token.
    function decimals() external view returns (uint8);

    /// @notice All tokens that exist, in wei.
    function totalSupply() external view returns (uint256);

    /// @notice Tokens of `account`, in wei.
    function balanceOf(address account) external view returns (uint256);

    /// @notice What `spender` may still move of `owner`'s tokens, in wei; the maximum stands for "without limit".
    function allowance(address owner, address spender) external view returns (uint256);

    /// @notice Moves `value` wei from the caller to `to`. Returns true or reverts.
    function transfer(address to, uint256 value) external returns (bool);

    /// @notice Moves `value` wei from `from` to `to` out of the caller's allowance. Returns true or reverts.
    function transferFrom(address from, address to, uint256 value) external returns (bool);

    /// @notice Lets `spender` move up to `value` wei of the caller's tokens. Returns true.
    function approve(address spender, uint256 value) external returns (bool);

    /// @notice Destroys `value` wei of the caller's tokens.
    function burn(uint256 value) external;

    /// @notice EIP-2612: sets the allowance by `owner`'s signature (v, r, s) over value, nonce and deadline (Unix seconds).
    function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external;

    /// @notice EIP-2612: the nonce that `owner`'s next permit must carry.
    function nonces(address owner) external view returns (uint256);

    /// @notice EIP-712: the separator of the domain that permits are signed under.
    function DOMAIN_SEPARATOR() external view returns (bytes32);
}
