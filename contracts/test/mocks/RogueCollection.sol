// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @dev Answers to `ownerOf` whatever it was told to, or not at all.
contract RogueCollection {
    enum Manner {
        Answers,
        Reverts,
        BurnsAllGas,
        RevertsAtLength,
        AnswersAtLength
    }

    Manner internal manner;
    bytes internal answer;

    function set(Manner manner_, bytes calldata answer_) external {
        (manner, answer) = (manner_, answer_);
    }

    /// @dev In the place of `ownerOf`, whose answer may be of no type at all.
    fallback() external {
        bytes memory said = answer;
        Manner now_ = manner;
        assembly ("memory-safe") {
            switch now_
            case 0 { return(add(said, 0x20), mload(said)) }
            case 1 { revert(add(said, 0x20), mload(said)) }
            case 2 { invalid() }
            case 3 { revert(0, 50000) }
            default { return(0, 50000) }
        }
    }
}
