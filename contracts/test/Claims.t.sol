// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {stdError} from "forge-std/StdError.sol";

import {Claims} from "../src/Claims.sol";
import {IClaims} from "../src/interfaces/IClaims.sol";
import {Base} from "./Base.t.sol";
import {Collection} from "./mocks/Collection.sol";
import {RogueCollection} from "./mocks/RogueCollection.sol";

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

contract ClaimsAnchorTest is ClaimsBase {
    bytes32 internal claim;

    function setUp() public override {
        super.setUp();
        claim = claims.declare(issued(IClaims.Kind.Erc20));
    }

    function snapshotAt(uint64 number) internal view returns (IClaims.Snapshot memory it) {
        it.generation = claims.currentGeneration();
        it.blockNumber = number;
        it.blockHash = keccak256(abi.encode(number));
        it.contacts = keccak256("contacts");
        it.leaves = 1000;
        it.roots = new uint256[](1);
        it.roots[0] = FIELD - 1;
    }

    function sign(uint256 key, IClaims.Snapshot memory snapshot) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, claims.snapshotDigest(claim, snapshot));
        return bytes.concat(r, s, bytes1(v));
    }

    function signed(uint256 one, uint256 other, IClaims.Snapshot memory snapshot)
        internal
        view
        returns (bytes[] memory signatures)
    {
        signatures = new bytes[](2);
        (signatures[0], signatures[1]) = (sign(one, snapshot), sign(other, snapshot));
    }

    function anchor(IClaims.Snapshot memory snapshot) internal {
        claims.anchor(claim, snapshot, signed(issuerKeys[0], issuerKeys[2], snapshot));
    }

    function refuse(IClaims.Snapshot memory snapshot, bytes memory reason) internal {
        bytes[] memory signatures = signed(issuerKeys[0], issuerKeys[2], snapshot);
        vm.expectRevert(reason);
        claims.anchor(claim, snapshot, signatures);
    }

    function test_anchor_keepsTheLastTwo() public {
        IClaims.Snapshot memory first = snapshotAt(10);
        vm.expectEmit(address(claims));
        emit IClaims.Anchored(claim, claims.groupId(claim, first.generation), first);
        anchor(first);
        IClaims.Snapshot memory second = snapshotAt(11);
        anchor(second);
        (IClaims.Anchor memory current, IClaims.Anchor memory previous) = claims.anchorsOf(claim);
        assertEq(current.digest, claims.snapshotDigest(claim, second), "current");
        assertEq(current.blockNumber, 11, "current block");
        assertEq(current.generation, second.generation, "generation");
        assertEq(previous.digest, claims.snapshotDigest(claim, first), "previous");
        anchor(snapshotAt(12));
        (current, previous) = claims.anchorsOf(claim);
        assertEq(current.blockNumber, 12, "current block");
        assertEq(previous.digest, claims.snapshotDigest(claim, second), "the first is forgotten");
    }

    function test_anchor_takesAnyIssuersFromTheThresholdUp() public {
        uint64 number = 0;
        for (uint256 one = 0; one < 3; one++) {
            for (uint256 other = one + 1; other < 3; other++) {
                IClaims.Snapshot memory it = snapshotAt(++number);
                claims.anchor(claim, it, signed(issuerKeys[one], issuerKeys[other], it));
            }
        }
        IClaims.Snapshot memory snapshot = snapshotAt(++number);
        bytes[] memory all = new bytes[](3);
        for (uint256 index = 0; index < 3; index++) {
            all[index] = sign(issuerKeys[index], snapshot);
        }
        claims.anchor(claim, snapshot, all);
    }

    function test_anchor_needsTheThreshold() public {
        IClaims.Snapshot memory snapshot = snapshotAt(1);
        bytes[] memory signatures = new bytes[](1);
        signatures[0] = sign(issuerKeys[0], snapshot);
        vm.expectRevert(abi.encodeWithSelector(IClaims.TooFewSignatures.selector, 2));
        claims.anchor(claim, snapshot, signatures);
        vm.expectRevert(abi.encodeWithSelector(IClaims.TooFewSignatures.selector, 2));
        claims.anchor(claim, snapshot, new bytes[](0));
    }

    function refuseSigners(uint256 one, uint256 other, uint256 wrong) internal {
        IClaims.Snapshot memory snapshot = snapshotAt(1);
        bytes[] memory signatures = signed(one, other, snapshot);
        vm.expectRevert(abi.encodeWithSelector(IClaims.NotIssuer.selector, vm.addr(wrong)));
        claims.anchor(claim, snapshot, signatures);
    }

    function test_anchor_refusesAStrangersSignature(uint256 key) public {
        key = bound(key, 4, 1 << 200);
        refuseSigners(issuerKeys[0], key, key);
        refuseSigners(key, issuerKeys[0], key);
    }

    function test_anchor_countsNoIssuerTwice() public {
        for (uint256 index = 0; index < 3; index++) {
            refuseSigners(issuerKeys[index], issuerKeys[index], issuerKeys[index]);
        }
    }

    function test_anchor_wantsSignaturesInTheIssuersOrder() public {
        refuseSigners(issuerKeys[1], issuerKeys[0], issuerKeys[0]);
        refuseSigners(issuerKeys[2], issuerKeys[1], issuerKeys[1]);
    }

    /// @dev Whatever is changed after signing, the signatures are somebody else's.
    function test_anchor_refusesAnythingButWhatWasSigned() public {
        IClaims.Snapshot memory snapshot = snapshotAt(5);
        bytes[] memory signatures = signed(issuerKeys[0], issuerKeys[1], snapshot);
        bytes[7] memory changed;
        for (uint256 index = 0; index < changed.length; index++) {
            IClaims.Snapshot memory it = snapshotAt(5);
            if (index == 0) it.generation += 1;
            if (index == 1) it.blockNumber += 1;
            if (index == 2) it.blockHash = 0;
            if (index == 3) it.contacts = 0;
            if (index == 4) it.leaves += 1;
            if (index == 5) it.roots[0] -= 1;
            if (index == 6) (it.leaves, it.roots) = (0, new uint256[](0));
            vm.expectPartialRevert(IClaims.NotIssuer.selector);
            claims.anchor(claim, it, signatures);
        }
        IClaims.Claim memory other = issued(IClaims.Kind.Erc20);
        other.limit = 128;
        bytes32 id = claims.declare(other);
        vm.expectPartialRevert(IClaims.NotIssuer.selector);
        claims.anchor(id, snapshot, signatures);
        vm.chainId(2);
        vm.expectPartialRevert(IClaims.NotIssuer.selector);
        claims.anchor(claim, snapshot, signatures);
        vm.chainId(31_337);
        claims.anchor(claim, snapshot, signatures);
    }

    function test_anchor_refusesSignaturesOfAnotherForm() public {
        IClaims.Snapshot memory snapshot = snapshotAt(1);
        bytes[] memory signatures = signed(issuerKeys[0], issuerKeys[1], snapshot);
        signatures[1] = bytes.concat(signatures[1], hex"00");
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureLength.selector, 66));
        claims.anchor(claim, snapshot, signatures);
        // The same signature with the other s.
        uint256 order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(issuerKeys[1], claims.snapshotDigest(claim, snapshot));
        bytes32 high = bytes32(order - uint256(s));
        signatures[1] = bytes.concat(r, high, bytes1(v == 27 ? 28 : 27));
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureS.selector, high));
        claims.anchor(claim, snapshot, signatures);
    }

    function test_anchor_goesForwardOnly() public {
        anchor(snapshotAt(10));
        refuse(snapshotAt(10), abi.encodeWithSelector(IClaims.NotNewer.selector, 10));
        refuse(snapshotAt(9), abi.encodeWithSelector(IClaims.NotNewer.selector, 10));
        IClaims.Snapshot memory next = snapshotAt(11);
        next.generation += 1;
        anchor(next);
        refuse(snapshotAt(12), abi.encodeWithSelector(IClaims.NotNewer.selector, 11));
    }

    function test_anchor_isForThisGenerationOrTheNext() public {
        uint32 current = claims.currentGeneration();
        bytes memory wrong = abi.encodeWithSelector(IClaims.WrongGeneration.selector, current);
        IClaims.Snapshot memory snapshot = snapshotAt(1);
        snapshot.generation = current - 1;
        refuse(snapshot, wrong);
        snapshot.generation = current + 2;
        refuse(snapshot, wrong);
        snapshot.generation = current + 1;
        anchor(snapshot);
        vm.warp((uint256(current) + 1) * GENERATION_SECONDS);
        anchor(snapshotAt(2));
    }

    function refuseRoots(uint32 leaves, uint256 roots, uint256 last) internal {
        IClaims.Snapshot memory snapshot = snapshotAt(1);
        (snapshot.leaves, snapshot.roots) = (leaves, new uint256[](roots));
        if (roots > 0) snapshot.roots[roots - 1] = last;
        refuse(snapshot, abi.encodePacked(IClaims.InvalidRoots.selector));
    }

    function test_anchor_wantsARootForEveryVolume() public {
        uint32 volume = 1 << 21;
        refuseRoots(0, 1, 1);
        refuseRoots(1, 0, 1);
        refuseRoots(volume, 2, 1);
        refuseRoots(volume + 1, 1, 1);
        refuseRoots(volume * 16 + 1, 17, 1);
        refuseRoots(1, 1, FIELD);
        refuseRoots(volume + 1, 2, type(uint256).max);
        uint32[5] memory leaves = [0, 1, volume, volume + 1, volume * 16];
        uint8[5] memory roots = [0, 1, 1, 2, 16];
        for (uint256 index = 0; index < 5; index++) {
            IClaims.Snapshot memory snapshot = snapshotAt(uint64(index + 1));
            (snapshot.leaves, snapshot.roots) = (leaves[index], new uint256[](roots[index]));
            anchor(snapshot);
        }
    }

    function test_anchor_isForIssuedClaims() public {
        IClaims.Snapshot memory snapshot = snapshotAt(1);
        vm.expectRevert(IClaims.UnknownClaim.selector);
        claims.anchor(0, snapshot, new bytes[](0));
        bytes32 id = claims.declare(registered());
        vm.expectRevert(IClaims.NotIssued.selector);
        claims.anchor(id, snapshot, new bytes[](0));
    }

    function test_snapshotDigest_isThatOfEip712() public view {
        IClaims.Snapshot memory it = snapshotAt(1);
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("xmtp/sig/snapshot/1"),
                keccak256("1"),
                block.chainid,
                address(claims)
            )
        );
        bytes memory types =
            "Snapshot(bytes32 claim,uint32 generation,uint64 blockNumber,bytes32 blockHash,bytes32 contacts,uint32 leaves,uint256[] roots)";
        bytes memory fields = abi.encode(claim, it.generation, it.blockNumber, it.blockHash, it.contacts, it.leaves);
        bytes32 message = keccak256(bytes.concat(keccak256(types), fields, keccak256(abi.encodePacked(it.roots))));
        assertEq(claims.snapshotDigest(claim, it), keccak256(bytes.concat(hex"1901", domain, message)), "digest");
    }
}

contract ClaimsRegisterTest is ClaimsBase {
    bytes32 internal claim;
    bytes32 internal group;
    uint32 internal generation;
    address internal alice = makeAddr("alice");
    address internal bob = makeAddr("bob");

    function setUp() public override {
        super.setUp();
        claim = claims.declare(registered());
        generation = claims.currentGeneration();
        group = claims.groupId(claim, generation);
        collection.mint(alice, 1);
        collection.mint(alice, 2);
        collection.mint(bob, 3);
    }

    function register(address holder, uint256 tokenId, uint256 commitment) internal {
        vm.prank(holder);
        claims.register(claim, generation, tokenId, commitment);
    }

    function refuse(address holder, uint256 tokenId, uint256 commitment, bytes4 reason) internal {
        vm.expectRevert(reason);
        register(holder, tokenId, commitment);
    }

    function move(address from, address to, uint256 tokenId) internal {
        vm.prank(from);
        collection.transferFrom(from, to, tokenId);
    }

    function chain() internal view returns (bytes32) {
        return claims.groupOf(group).chain;
    }

    function expectRegistered(address holder, uint256 tokenId, uint256 commitment, uint32 position) internal {
        vm.expectEmit(address(claims));
        emit IClaims.Registered(group, claim, holder, tokenId, commitment, 0, position, LIMIT);
    }

    function expectLeft(address holder, uint256 tokenId, uint256 commitment, uint32 position) internal {
        vm.expectEmit(address(claims));
        emit IClaims.Left(group, claim, holder, tokenId, commitment, 0, position, LIMIT);
    }

    function test_register_recordsTheEntry(uint256 commitment) public {
        commitment = bound(commitment, 1, FIELD - 1);
        expectRegistered(alice, 1, commitment, 0);
        register(alice, 1, commitment);
        IClaims.Registration memory it = claims.registrationOf(claim, generation, 1);
        assertEq(it.holder, alice, "holder");
        assertEq(it.leaf, 0, "leaf");
        assertEq(it.times, 1, "times");
        assertEq(it.commitment, commitment, "commitment");
        assertEq(chain(), link(0, 1, commitment, LIMIT), "chain");
        assertEq(claims.groupOf(group).leaves, 1, "leaves");
    }

    function test_register_keepsTheChainWhereStorageProofsLook() public {
        register(alice, 1, 7);
        bytes32 stored = vm.load(address(claims), keccak256(abi.encode(group, uint256(0))));
        assertEq(stored, chain(), "slot 0, first word");
    }

    function test_register_isTheHoldersAlone(address caller) public {
        vm.assume(caller != alice);
        refuse(caller, 1, 7, IClaims.NotHolder.selector);
        refuse(alice, 3, 7, IClaims.NotHolder.selector);
        refuse(alice, 99, 7, IClaims.NotHolder.selector);
    }

    /// @dev Whoever may move a token may not speak for its holder.
    function test_register_isNotForApprovedOperators() public {
        vm.prank(alice);
        collection.setApprovalForAll(bob, true);
        refuse(bob, 1, 7, IClaims.NotHolder.selector);
    }

    function test_register_replacesOnceInAGeneration() public {
        register(alice, 1, 7);
        expectLeft(alice, 1, 7, 0);
        expectRegistered(alice, 1, 8, 1);
        register(alice, 1, 8);
        assertEq(chain(), link(link(link(0, 1, 7, LIMIT), 2, 7, LIMIT), 1, 8, LIMIT), "chain");
        assertEq(claims.groupOf(group).leaves, 2, "leaves are numbers, and never given twice");
        refuse(alice, 1, 9, IClaims.RegisteredTwice.selector);

        generation += 1;
        register(alice, 1, 9);
        assertEq(claims.registrationOf(claim, generation, 1).times, 1, "the next generation counts anew");
    }

    /// @dev Else a token moved to and fro buys new pseudonyms and new limits.
    function test_register_countsTheTokenWhoeverHoldsIt() public {
        register(alice, 1, 7);
        move(alice, bob, 1);
        expectLeft(alice, 1, 7, 0);
        expectRegistered(bob, 1, 8, 1);
        register(bob, 1, 8);
        move(bob, alice, 1);
        claims.prune(claim, generation, 1);
        refuse(alice, 1, 9, IClaims.RegisteredTwice.selector);
        refuse(alice, 1, 7, IClaims.RegisteredTwice.selector);
    }

    function test_register_refusesACommitmentThatIsInTheGroup() public {
        register(alice, 1, 7);
        refuse(alice, 1, 7, IClaims.CommitmentUsed.selector);
        refuse(alice, 2, 7, IClaims.CommitmentUsed.selector);
        refuse(bob, 3, 7, IClaims.CommitmentUsed.selector);
    }

    /// @dev Who was robbed of a place by somebody with a token to move has it back, once the entry is pruned.
    function test_register_takesACommitmentThatHasLeft() public {
        register(bob, 3, 7);
        refuse(alice, 1, 7, IClaims.CommitmentUsed.selector);
        move(bob, stranger, 3);
        claims.prune(claim, generation, 3);
        register(alice, 1, 7);
        register(alice, 1, 8);
        register(alice, 2, 7);
    }

    function test_register_keepsClaimsAndGenerationsApart() public {
        IClaims.Claim memory terms = registered();
        terms.limit = 128;
        bytes32 other = claims.declare(terms);
        register(alice, 1, 7);
        vm.startPrank(alice);
        claims.register(claim, generation + 1, 1, 7);
        claims.register(other, generation, 1, 7);
        vm.stopPrank();
        assertEq(claims.groupOf(claims.groupId(claim, generation + 1)).chain, link(0, 1, 7, LIMIT), "generation");
        assertEq(claims.groupOf(claims.groupId(other, generation)).chain, link(0, 1, 7, 128), "claim");
    }

    /// @dev A transaction that waited over the end of a quarter must not put last quarter's commitment into this one's.
    function test_register_isForThisGenerationOrTheNext() public {
        bytes memory wrong = abi.encodeWithSelector(IClaims.WrongGeneration.selector, generation);
        uint32[3] memory others = [generation - 1, generation + 2, type(uint32).max];
        for (uint256 index = 0; index < 3; index++) {
            vm.expectRevert(wrong);
            vm.prank(alice);
            claims.register(claim, others[index], 1, 7);
        }
        vm.warp((uint256(generation) + 1) * GENERATION_SECONDS - 1);
        register(alice, 1, 7);
        vm.warp(block.timestamp + 1);
        vm.expectRevert(abi.encodeWithSelector(IClaims.WrongGeneration.selector, generation + 1));
        register(alice, 1, 8);
    }

    function test_register_refusesCommitmentsOutsideTheField(uint256 commitment) public {
        commitment = bound(commitment, FIELD, type(uint256).max);
        refuse(alice, 1, commitment, IClaims.InvalidCommitment.selector);
        refuse(alice, 1, 0, IClaims.InvalidCommitment.selector);
        refuse(alice, 1, FIELD, IClaims.InvalidCommitment.selector);
        register(alice, 1, FIELD - 1);
    }

    function test_register_ofOneTokenIsForThatToken() public {
        IClaims.Claim memory terms = registered();
        (terms.spec.kind, terms.spec.tokenId) = (IClaims.Kind.Erc721Token, 2);
        claim = claims.declare(terms);
        refuse(alice, 1, 7, IClaims.WrongToken.selector);
        register(alice, 2, 7);
    }

    function test_registeringIsForRegisteredClaims() public {
        bytes32 id = claims.declare(issued(IClaims.Kind.Erc721));
        vm.startPrank(alice);
        vm.expectRevert(IClaims.NotRegistered.selector);
        claims.register(id, generation, 1, 7);
        vm.expectRevert(IClaims.NotRegistered.selector);
        claims.prune(id, generation, 1);
        vm.expectRevert(IClaims.UnknownClaim.selector);
        claims.register(0, generation, 1, 7);
        vm.expectRevert(IClaims.UnknownClaim.selector);
        claims.prune(0, generation, 1);
        vm.stopPrank();
    }

    /// @dev Two million registrations are beyond a test; the count of leaves is set where it is stored.
    function test_everyEventNamesTheVolume() public {
        setLeaves(1 << 21);
        vm.expectEmit(address(claims));
        emit IClaims.Registered(group, claim, alice, 1, 7, 1, 0, LIMIT);
        register(alice, 1, 7);
        vm.expectEmit(address(claims));
        emit IClaims.Left(group, claim, alice, 1, 7, 1, 0, LIMIT);
        register(alice, 1, 8);
    }

    function test_register_isRefusedWhenAGroupIsFull() public {
        setLeaves(type(uint32).max);
        vm.expectRevert(stdError.arithmeticError);
        register(alice, 1, 7);
    }

    function setLeaves(uint32 leaves) internal {
        bytes32 slot = bytes32(uint256(keccak256(abi.encode(group, uint256(0)))) + 1);
        vm.store(address(claims), slot, bytes32(uint256(leaves)));
        assertEq(claims.groupOf(group).leaves, leaves, "the layout is as assumed");
    }

    function test_prune_removesWhatHasMoved() public {
        register(alice, 1, 7);
        vm.expectRevert(IClaims.StillHeld.selector);
        claims.prune(claim, generation, 1);
        move(alice, bob, 1);
        expectLeft(alice, 1, 7, 0);
        vm.prank(stranger);
        claims.prune(claim, generation, 1);
        assertEq(chain(), link(link(0, 1, 7, LIMIT), 2, 7, LIMIT), "chain");
        assertEq(claims.registrationOf(claim, generation, 1).holder, address(0), "nobody is registered");
        vm.expectRevert(IClaims.NoRegistration.selector);
        claims.prune(claim, generation, 1);
        register(bob, 1, 8);
    }

    function test_prune_removesWhatWasBurned() public {
        register(alice, 1, 7);
        collection.burn(1);
        claims.prune(claim, generation, 1);
        assertEq(claims.registrationOf(claim, generation, 1).holder, address(0), "nobody is registered");
    }

    function test_prune_spares_whatCameBack() public {
        register(alice, 1, 7);
        move(alice, bob, 1);
        move(bob, alice, 1);
        vm.expectRevert(IClaims.StillHeld.selector);
        claims.prune(claim, generation, 1);
    }

    function test_prune_ofNothingIsRefused(uint256 tokenId) public {
        vm.expectRevert(IClaims.NoRegistration.selector);
        claims.prune(claim, generation, tokenId);
    }
}

/// @dev Collections are anybody's contracts.
contract ClaimsRogueTest is ClaimsBase {
    RogueCollection internal rogue;
    bytes32 internal claim;
    uint32 internal generation;

    function setUp() public override {
        super.setUp();
        rogue = new RogueCollection();
        IClaims.Claim memory terms = registered();
        terms.spec.subject = address(rogue);
        claim = claims.declare(terms);
        generation = claims.currentGeneration();
        rogue.set(RogueCollection.Manner.Answers, abi.encode(stranger));
        vm.prank(stranger);
        claims.register(claim, generation, 1, 7);
    }

    function checkNobody(RogueCollection.Manner manner, bytes memory answer, string memory what) internal {
        rogue.set(manner, answer);
        uint256 snapshot = vm.snapshotState();
        vm.expectRevert(IClaims.NotHolder.selector);
        vm.prank(stranger);
        claims.register(claim, generation, 2, 8);
        claims.prune{gas: 400_000}(claim, generation, 1);
        assertEq(claims.registrationOf(claim, generation, 1).holder, address(0), what);
        vm.revertToState(snapshot);
    }

    /// @dev Nor can it keep an entry by saying so, or make its pruning dear.
    function test_aCollectionThatAnswersNonsenseSaysThatNobodyHolds() public {
        checkNobody(RogueCollection.Manner.Reverts, "", "reverts");
        checkNobody(RogueCollection.Manner.Reverts, abi.encode(stranger), "reverts with the answer");
        checkNobody(RogueCollection.Manner.BurnsAllGas, "", "burns all gas");
        checkNobody(RogueCollection.Manner.RevertsAtLength, "", "reverts at length");
        checkNobody(RogueCollection.Manner.AnswersAtLength, "", "answers at length");
        checkNobody(RogueCollection.Manner.Answers, "", "nothing");
        checkNobody(RogueCollection.Manner.Answers, abi.encodePacked(stranger), "too short");
        checkNobody(RogueCollection.Manner.Answers, abi.encode(stranger, 1), "too long");
        checkNobody(RogueCollection.Manner.Answers, abi.encode(uint256(uint160(stranger)) | 1 << 160), "no address");
        checkNobody(RogueCollection.Manner.Answers, abi.encode(address(0)), "zero");
    }

    function test_aCollectionThatIsGoneSaysThatNobodyHolds() public {
        vm.etch(address(rogue), "");
        claims.prune(claim, generation, 1);
        assertEq(claims.registrationOf(claim, generation, 1).holder, address(0), "pruned");
    }

    /// @dev With whatever gas: either it fails as a whole, or the entry stays, for the holder holds.
    function test_tooLittleGasPrunesNobody(uint256 gas) public {
        gas = bound(gas, 30_000, 400_000);
        vm.prank(reporter);
        (bool success,) = address(claims).call{gas: gas}(abi.encodeCall(IClaims.prune, (claim, generation, 1)));
        assertFalse(success, "refused");
        assertEq(claims.registrationOf(claim, generation, 1).holder, stranger, "still registered");
    }

    function test_tooLittleGasIsSaidSo() public {
        vm.expectRevert(IClaims.TooLittleGas.selector);
        claims.prune{gas: 200_000}(claim, generation, 1);
    }

    function test_aCollectionDecidesAboutItsOwnTokensOnly() public {
        rogue.set(RogueCollection.Manner.Reverts, "");
        bytes32 other = claims.declare(registered());
        collection.mint(buyer, 1);
        vm.prank(buyer);
        claims.register(other, generation, 1, 7);
        claims.prune(claim, generation, 1);
        assertEq(claims.registrationOf(other, generation, 1).holder, buyer, "another collection's entry stays");
    }
}
