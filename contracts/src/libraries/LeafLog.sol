// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title The leaf log of a group
/// @dev What all groups on chain have in common (docs/protocol.md, "Groups and their roots"): their ids, what may be a
/// commitment, where a leaf stands, and the chain of hashes over everything that happened to leaves. The interfaces say
/// each of it again, where followers look for it.
library LeafLog {
    /// @dev The modulus r of BN254's scalar field.
    uint256 internal constant FIELD =
        21_888_242_871_839_275_222_246_405_745_257_275_088_548_364_400_416_034_343_698_204_186_575_808_495_617;

    /// @dev The circuit has 16 bits for an index below the limit.
    uint256 internal constant MAX_LIMIT = 1 << 16;

    /// @dev Operations: a leaf was appended, left of its own accord or because what it stood on is gone, was slashed.
    uint8 internal constant INSERT = 1;
    uint8 internal constant EXIT = 2;
    uint8 internal constant SLASH = 3;

    uint32 private constant VOLUME_BITS = 21;

    /// @dev Zero is what an empty leaf is made of, and a second name for a commitment would make it two.
    function isCommitment(uint256 commitment) internal pure returns (bool) {
        return commitment != 0 && commitment < FIELD;
    }

    function link(bytes32 chain, uint8 kind, uint256 commitment, uint32 limit) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(chain, kind, commitment, limit));
    }

    function groupId(bytes32 networkId, uint8 kind, bytes32 source, uint32 class, uint32 issue)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encodePacked("xmtp/group/1", networkId, kind, source, class, issue));
    }

    /// @dev Addresses as sources of groups: padded on the left.
    function sourceOf(address account) internal pure returns (bytes32) {
        return bytes32(uint256(uint160(account)));
    }

    function volumeOf(uint32 leaf) internal pure returns (uint32) {
        return leaf >> VOLUME_BITS;
    }

    function positionOf(uint32 leaf) internal pure returns (uint32) {
        return leaf & ((uint32(1) << VOLUME_BITS) - 1);
    }
}
