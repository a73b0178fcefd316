// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {IClaims} from "../../src/interfaces/IClaims.sol";
import {ClaimsBase} from "./ClaimsBase.t.sol";

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
