// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IClaims} from "../../src/interfaces/IClaims.sol";
import {Base} from "../Base.t.sol";
import {Collection} from "../mocks/Collection.sol";

abstract contract ClaimsBase is Base {
    uint256 internal constant GENERATION_SECONDS = 7_889_400;
    uint32 internal constant LIMIT = 64;

    Collection internal collection;
    /// @dev Ascending by address.
    uint256[3] internal issuerKeys;

    function setUp() public virtual override {
        super.setUp();
        collection = new Collection();
        issuerKeys = [uint256(1), 2, 3];
        for (uint256 round = 0; round < 2; round++) {
            for (uint256 index = 0; index < 2; index++) {
                (uint256 one, uint256 other) = (issuerKeys[index], issuerKeys[index + 1]);
                if (vm.addr(one) > vm.addr(other)) (issuerKeys[index], issuerKeys[index + 1]) = (other, one);
            }
        }
    }

    /* TERMS */

    function none() internal pure returns (address[] memory) {
        return new address[](0);
    }

    function list(address one) internal pure returns (address[] memory it) {
        it = new address[](1);
        it[0] = one;
    }

    function issuers() internal view returns (address[] memory it) {
        it = new address[](3);
        for (uint256 index = 0; index < 3; index++) {
            it[index] = vm.addr(issuerKeys[index]);
        }
    }

    function spec(IClaims.Kind kind) internal view returns (IClaims.Spec memory it) {
        it.kind = kind;
        it.chainId = 1;
        if (kind != IClaims.Kind.Native && kind != IClaims.Kind.Active) it.subject = address(collection);
        if (kind == IClaims.Kind.Erc721Token || kind == IClaims.Kind.Erc1155) it.tokenId = 7;
        if (kind == IClaims.Kind.Erc1155 || kind == IClaims.Kind.Erc20 || kind == IClaims.Kind.Native) it.amount = 5;
        if (kind == IClaims.Kind.Active) it.before = 1_700_000_000;
        it.tokens = kind == IClaims.Kind.Counterparty ? list(address(token)) : none();
    }

    function issued(IClaims.Kind kind) internal view returns (IClaims.Claim memory) {
        return IClaims.Claim({spec: spec(kind), issuers: issuers(), threshold: 2, limit: LIMIT});
    }

    /// @dev For holders of the collection's tokens to register in.
    function registered() internal view returns (IClaims.Claim memory it) {
        it = IClaims.Claim({spec: spec(IClaims.Kind.Erc721), issuers: none(), threshold: 0, limit: LIMIT});
        it.spec.chainId = uint64(block.chainid);
    }
}
