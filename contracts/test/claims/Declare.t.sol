// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Claims} from "../../src/Claims.sol";
import {IClaims} from "../../src/interfaces/IClaims.sol";
import {ClaimsBase} from "./ClaimsBase.t.sol";

contract ClaimsDeclareTest is ClaimsBase {
    function test_theParametersAreThoseOfTheDeployment() public {
        assertEq(claims.POSTAGE(), address(postage), "postage");
        assertEq(claims.networkId(), postage.networkId(), "network");
        assertEq(claims.currentGeneration(), block.timestamp / GENERATION_SECONDS, "generation");
        vm.expectRevert(IClaims.InvalidParameters.selector);
        new Claims(stranger);
    }

    function test_declare_keepsTheTermsOfEveryKind() public {
        for (uint8 kind = 1; kind <= uint8(IClaims.Kind.Active); kind++) {
            IClaims.Claim memory terms = issued(IClaims.Kind(kind));
            bytes32 id = claims.claimId(terms);
            vm.expectEmit(address(claims));
            emit IClaims.Declared(id, terms);
            vm.prank(stranger);
            assertEq(claims.declare(terms), id, "id");
            assertEq(abi.encode(claims.claimOf(id)), abi.encode(terms), "terms");
        }
    }

    function test_declare_happensOnce() public {
        claims.declare(registered());
        vm.expectRevert(IClaims.AlreadyDeclared.selector);
        claims.declare(registered());
    }

    /// @dev As the specification words it, byte by byte; also of terms that nobody could declare.
    function test_claimId_isTheHashOfAllTerms(uint8 kind, uint256 number, uint8 threshold, uint32 limit) public view {
        // Of one number made many that differ.
        IClaims.Spec memory spec_;
        spec_.kind = IClaims.Kind(kind % 8);
        (spec_.chainId, spec_.before) = (uint64(number), uint64(number >> 64));
        (spec_.subject, spec_.tokenId, spec_.amount) = (address(uint160(number >> 96)), number, ~number);
        uint256 lengths = number % 561;
        spec_.tokens = ascending(lengths % 33);
        IClaims.Claim memory terms = IClaims.Claim(spec_, ascending(lengths / 33), threshold, limit);
        bytes memory condition = bytes.concat(
            bytes1(uint8(spec_.kind)),
            bytes8(spec_.chainId),
            bytes32(uint256(uint160(spec_.subject))),
            bytes32(spec_.tokenId),
            bytes32(spec_.amount),
            bytes8(spec_.before),
            listed(spec_.tokens)
        );
        bytes memory vouched = bytes.concat(listed(terms.issuers), bytes1(threshold), bytes4(limit));
        bytes32 id = keccak256(bytes.concat("xmtp/claim/1", postage.networkId(), condition, vouched));
        assertEq(claims.claimId(terms), id, "claim id");
    }

    function listed(address[] memory it) internal pure returns (bytes memory bytes_) {
        bytes_ = bytes.concat(bytes1(uint8(it.length)));
        for (uint256 index = 0; index < it.length; index++) {
            bytes_ = bytes.concat(bytes_, bytes32(uint256(uint160(it[index]))));
        }
    }

    function refuse(IClaims.Claim memory terms, bytes4 reason) internal {
        vm.expectRevert(reason);
        claims.declare(terms);
    }

    function refuseSpec(IClaims.Claim memory terms) internal {
        refuse(terms, IClaims.InvalidSpec.selector);
    }

    /// @dev Toggles each field of each kind: where it is asked for it must not be missing, elsewhere not be there. Any token
    /// id will do where there is one.
    function test_declare_wantsExactlyTheFieldsThatItsKindSpeaksOf() public {
        for (uint8 number = 1; number <= uint8(IClaims.Kind.Active); number++) {
            IClaims.Kind kind = IClaims.Kind(number);
            IClaims.Claim memory terms = issued(kind);
            terms.spec.kind = IClaims.Kind.None;
            refuseSpec(terms);
            terms = issued(kind);
            terms.spec.chainId = 0;
            refuseSpec(terms);
            terms = issued(kind);
            terms.spec.subject = terms.spec.subject == address(0) ? stranger : address(0);
            refuseSpec(terms);
            terms = issued(kind);
            terms.spec.amount = terms.spec.amount == 0 ? 1 : 0;
            refuseSpec(terms);
            terms = issued(kind);
            terms.spec.before = terms.spec.before == 0 ? 1 : 0;
            refuseSpec(terms);
            terms = issued(kind);
            bool counts = kind == IClaims.Kind.Counterparty;
            terms.spec.tokens = counts ? list(address(0)) : list(stranger);
            refuseSpec(terms);
            terms = issued(kind);
            terms.spec.tokenId = terms.spec.tokenId == 0 ? 1 : 0;
            if (kind != IClaims.Kind.Erc721Token && kind != IClaims.Kind.Erc1155) refuseSpec(terms);
            else claims.declare(terms);
        }
    }

    function ascending(uint256 length) internal pure returns (address[] memory it) {
        it = new address[](length);
        for (uint160 index = 0; index < length; index++) {
            it[index] = address(index + 1);
        }
    }

    function test_declare_boundsTheTokensOfCounterparties() public {
        IClaims.Claim memory terms = issued(IClaims.Kind.Counterparty);
        terms.spec.tokens = none();
        claims.declare(terms);
        terms.spec.tokens = ascending(32);
        claims.declare(terms);
        terms.spec.tokens = ascending(33);
        refuseSpec(terms);
        terms.spec.tokens = ascending(3);
        (terms.spec.tokens[1], terms.spec.tokens[2]) = (terms.spec.tokens[2], terms.spec.tokens[1]);
        refuseSpec(terms);
        terms.spec.tokens[1] = terms.spec.tokens[2];
        refuseSpec(terms);
    }

    function refuseIssuers(IClaims.Claim memory terms) internal {
        refuse(terms, IClaims.InvalidIssuers.selector);
    }

    function test_declare_wantsIssuersInOrderAndAThresholdAmongThem() public {
        IClaims.Claim memory terms = issued(IClaims.Kind.Native);
        terms.threshold = 0;
        refuseIssuers(terms);
        terms.threshold = 4;
        refuseIssuers(terms);
        terms.threshold = 3;
        claims.declare(terms);
        terms.issuers = ascending(17);
        refuseIssuers(terms);
        terms.issuers = ascending(16);
        terms.threshold = 16;
        claims.declare(terms);
        terms.issuers[3] = terms.issuers[2];
        refuseIssuers(terms);
        terms.issuers[0] = address(0);
        refuseIssuers(terms);
    }

    function test_declare_wantsIssuersWhereTheChainCannotBeAsked() public {
        for (uint8 kind = 1; kind <= uint8(IClaims.Kind.Active); kind++) {
            IClaims.Claim memory terms = issued(IClaims.Kind(kind));
            (terms.issuers, terms.threshold) = (none(), 0);
            refuseIssuers(terms);
            terms.spec.chainId = uint64(block.chainid);
            if (kind <= uint8(IClaims.Kind.Erc721Token)) {
                claims.declare(terms);
                terms.threshold = 1;
            }
            refuseIssuers(terms);
        }
    }

    function test_declare_wantsALimitThatSixteenSlotsShare(uint32 limit) public {
        IClaims.Claim memory terms = registered();
        terms.limit = limit;
        if (limit == 0 || limit > 1024 || limit % 16 != 0) refuse(terms, IClaims.InvalidLimit.selector);
        else claims.declare(terms);
        for (terms.limit = 16; terms.limit <= 1024; terms.limit += 1008) {
            if (terms.limit != limit) claims.declare(terms);
        }
        refuse(terms, IClaims.InvalidLimit.selector);
    }

    function test_groupId_isWhatTheProtocolSays(bytes32 claim, uint32 generation) public view {
        bytes32 id = keccak256(
            bytes.concat("xmtp/group/1", postage.networkId(), hex"03", claim, bytes4(uint32(0)), bytes4(generation))
        );
        assertEq(claims.groupId(claim, generation), id, "group id");
    }
}
