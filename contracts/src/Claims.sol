// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IClaims} from "./interfaces/IClaims.sol";
import {IPostage} from "./interfaces/IPostage.sol";
import {LeafLog} from "./libraries/LeafLog.sol";

/// @dev First among the bases that store anything, so that the mapping is at slot 0, on which storage proofs rely; a test
/// pins it.
abstract contract Groups {
    mapping(bytes32 id => IClaims.Group) internal _groups;
}

/// @title Claims
/// @dev Documented in `IClaims`. Every function reads: guard, compute, write, emit. The only calls are to collections, and
/// they can change nothing.
contract Claims is IClaims, Groups, EIP712 {
    using SafeCast for uint256;

    /* CONSTANTS */

    uint256 private constant GENERATION_SECONDS = 7_889_400;
    uint256 private constant MAX_TOKENS = 32;
    uint256 private constant MAX_ISSUERS = 16;
    uint256 private constant MAX_VOLUMES = 16;
    uint256 private constant VOLUME = 1 << 21;
    uint32 private constant MAX_LIMIT = 1024;
    /// @dev An account's clients share its indices in sixteen slots.
    uint32 private constant SLOTS = 16;
    uint8 private constant MAX_TIMES = 2;

    /// @dev What a collection may use to say who owns a token.
    uint256 private constant OWNER_GAS = 100_000;

    /// @dev Kind of group: claims.
    uint8 private constant CLAIMS = 3;

    bytes32 private constant SNAPSHOT = keccak256(
        "Snapshot(bytes32 claim,uint32 generation,uint64 blockNumber,bytes32 blockHash,bytes32 contacts,uint32 leaves,uint256[] roots)"
    );

    /* IMMUTABLES */

    /// @inheritdoc IClaims
    address public immutable POSTAGE;
    bytes32 private immutable NETWORK_ID;

    /* STORAGE, behind `Groups` */

    mapping(bytes32 id => Claim) private _claims;
    mapping(bytes32 claim => Anchor) private _current;
    mapping(bytes32 claim => Anchor) private _previous;
    mapping(bytes32 group => mapping(uint256 tokenId => Registration)) private _registrations;
    mapping(bytes32 group => mapping(uint256 commitment => bool)) private _present;

    /// @param postage Of the network.
    constructor(address postage) EIP712("xmtp/sig/snapshot/1", "1") {
        if (postage.code.length == 0) revert InvalidParameters();
        POSTAGE = postage;
        NETWORK_ID = IPostage(postage).networkId();
    }

    /* CLAIMS */

    /// @inheritdoc IClaims
    function declare(Claim memory terms) external returns (bytes32 id) {
        if (!_isWellFormed(terms.spec)) revert InvalidSpec();
        if (!_isVouchedFor(terms)) revert InvalidIssuers();
        if (terms.limit == 0 || terms.limit > MAX_LIMIT || terms.limit % SLOTS != 0) revert InvalidLimit();
        id = claimId(terms);
        if (_claims[id].limit != 0) revert AlreadyDeclared();

        _claims[id] = terms;
        emit Declared(id, terms);
    }

    /// @inheritdoc IClaims
    function anchor(bytes32 claim, Snapshot calldata snapshot, bytes[] calldata signatures) external {
        Claim memory terms = _declared(claim);
        if (terms.issuers.length == 0) revert NotIssued();
        if (signatures.length < terms.threshold) revert TooFewSignatures(terms.threshold);
        _requireGeneration(snapshot.generation);
        if (!_areRoots(snapshot.roots, snapshot.leaves)) revert InvalidRoots();
        Anchor memory current = _current[claim];
        if (snapshot.generation < current.generation || snapshot.blockNumber <= current.blockNumber) {
            revert NotNewer(current.blockNumber);
        }
        bytes32 digest = snapshotDigest(claim, snapshot);
        _requireIssuers(terms.issuers, digest, signatures);

        _previous[claim] = current;
        _current[claim] = Anchor({generation: snapshot.generation, blockNumber: snapshot.blockNumber, digest: digest});
        emit Anchored(claim, groupId(claim, snapshot.generation), snapshot);
    }

    /// @inheritdoc IClaims
    function register(bytes32 claim, uint32 generation, uint256 tokenId, uint256 commitment) external {
        Claim memory terms = _registered(claim);
        if (terms.spec.kind == Kind.Erc721Token && tokenId != terms.spec.tokenId) revert WrongToken();
        _requireGeneration(generation);
        if (!LeafLog.isCommitment(commitment)) revert InvalidCommitment();
        bytes32 id = groupId(claim, generation);
        Registration memory before = _registrations[id][tokenId];
        if (before.times >= MAX_TIMES) revert RegisteredTwice();
        if (_present[id][commitment]) revert CommitmentUsed();
        if (_ownerOf(terms.spec.subject, tokenId) != msg.sender) revert NotHolder();

        if (before.holder != address(0)) _remove(id, claim, tokenId, before, terms.limit);
        uint32 leaf = _groups[id].leaves;
        _registrations[id][tokenId] =
            Registration({holder: msg.sender, leaf: leaf, times: before.times + 1, commitment: commitment});
        _present[id][commitment] = true;
        _groups[id].chain = LeafLog.link(_groups[id].chain, LeafLog.INSERT, commitment, terms.limit);
        _groups[id].leaves = leaf + 1;
        emit Registered(
            id, claim, msg.sender, tokenId, commitment, LeafLog.volumeOf(leaf), LeafLog.positionOf(leaf), terms.limit
        );
    }

    /// @inheritdoc IClaims
    function prune(bytes32 claim, uint32 generation, uint256 tokenId) external {
        Claim memory terms = _registered(claim);
        bytes32 id = groupId(claim, generation);
        Registration memory it = _registrations[id][tokenId];
        if (it.holder == address(0)) revert NoRegistration();
        if (_ownerOf(terms.spec.subject, tokenId) == it.holder) revert StillHeld();

        _registrations[id][tokenId].holder = address(0);
        _remove(id, claim, tokenId, it, terms.limit);
    }

    /* VIEWS */

    /// @inheritdoc IClaims
    function networkId() external view returns (bytes32) {
        return NETWORK_ID;
    }

    /// @inheritdoc IClaims
    function claimOf(bytes32 claim) external view returns (Claim memory) {
        return _claims[claim];
    }

    /// @inheritdoc IClaims
    function anchorsOf(bytes32 claim) external view returns (Anchor memory current, Anchor memory previous) {
        return (_current[claim], _previous[claim]);
    }

    /// @inheritdoc IClaims
    function registrationOf(bytes32 claim, uint32 generation, uint256 tokenId)
        external
        view
        returns (Registration memory)
    {
        return _registrations[groupId(claim, generation)][tokenId];
    }

    /// @inheritdoc IClaims
    function groupOf(bytes32 group) external view returns (Group memory) {
        return _groups[group];
    }

    /// @inheritdoc IClaims
    function currentGeneration() public view returns (uint32) {
        return (block.timestamp / GENERATION_SECONDS).toUint32();
    }

    /// @inheritdoc IClaims
    function claimId(Claim memory terms) public view returns (bytes32) {
        Spec memory spec = terms.spec;
        bytes memory condition = abi.encodePacked(
            spec.kind,
            spec.chainId,
            LeafLog.sourceOf(spec.subject),
            spec.tokenId,
            spec.amount,
            spec.before,
            uint8(spec.tokens.length),
            spec.tokens
        );
        return keccak256(
            abi.encodePacked(
                "xmtp/claim/1",
                NETWORK_ID,
                condition,
                uint8(terms.issuers.length),
                terms.issuers,
                terms.threshold,
                terms.limit
            )
        );
    }

    /// @inheritdoc IClaims
    function groupId(bytes32 claim, uint32 generation) public view returns (bytes32) {
        return LeafLog.groupId(NETWORK_ID, CLAIMS, claim, 0, generation);
    }

    /// @inheritdoc IClaims
    function snapshotDigest(bytes32 claim, Snapshot calldata snapshot) public view returns (bytes32) {
        return _hashTypedDataV4(
            keccak256(
                abi.encode(
                    SNAPSHOT,
                    claim,
                    snapshot.generation,
                    snapshot.blockNumber,
                    snapshot.blockHash,
                    snapshot.contacts,
                    snapshot.leaves,
                    keccak256(abi.encodePacked(snapshot.roots))
                )
            )
        );
    }

    /* INTERNALS */

    function _remove(bytes32 id, bytes32 claim, uint256 tokenId, Registration memory it, uint32 limit) private {
        _present[id][it.commitment] = false;
        _groups[id].chain = LeafLog.link(_groups[id].chain, LeafLog.EXIT, it.commitment, limit);
        emit Left(
            id, claim, it.holder, tokenId, it.commitment, LeafLog.volumeOf(it.leaf), LeafLog.positionOf(it.leaf), limit
        );
    }

    function _declared(bytes32 claim) private view returns (Claim memory terms) {
        terms = _claims[claim];
        if (terms.limit == 0) revert UnknownClaim();
    }

    function _registered(bytes32 claim) private view returns (Claim memory terms) {
        terms = _declared(claim);
        if (terms.issuers.length != 0) revert NotRegistered();
    }

    function _requireGeneration(uint32 generation) private view {
        uint32 current = currentGeneration();
        if (generation != current && generation != current + 1) revert WrongGeneration(current);
    }

    /// @dev Every signature is by another issuer, for both stand in one order.
    function _requireIssuers(address[] memory issuers, bytes32 digest, bytes[] calldata signatures) private pure {
        uint256 next = 0;
        for (uint256 index = 0; index < signatures.length; index++) {
            address signer = ECDSA.recover(digest, signatures[index]);
            while (next < issuers.length && issuers[next] != signer) next++;
            if (next == issuers.length) revert NotIssuer(signer);
            next++;
        }
    }

    /// @dev Who owns a token, as its collection says; zero if it does not answer, or answers what is no address. A caller
    /// who sends too little gas must not make it fall silent.
    function _ownerOf(address collection, uint256 tokenId) private view returns (address) {
        if (gasleft() < 2 * OWNER_GAS) revert TooLittleGas();
        // An answer that is no address would end a call by name; one as long as so much gas can make it is paid for.
        // slither-disable-next-line return-bomb,low-level-calls
        (bool success, bytes memory answer) =
            collection.staticcall{gas: OWNER_GAS}(abi.encodeCall(IERC721.ownerOf, (tokenId)));
        if (!success || answer.length != 32) return address(0);
        uint256 word = abi.decode(answer, (uint256));
        return word > type(uint160).max ? address(0) : address(uint160(word));
    }

    /// @dev One row per field: whether its presence is what the kind asks for.
    function _isWellFormed(Spec memory it) private pure returns (bool) {
        Kind kind = it.kind;
        bool counted = kind == Kind.Erc1155 || kind == Kind.Erc20 || kind == Kind.Native;
        return kind != Kind.None && it.chainId != 0
            && (it.subject != address(0)) == (kind != Kind.Native && kind != Kind.Active)
            && (it.tokenId == 0 || kind == Kind.Erc721Token || kind == Kind.Erc1155) && (it.amount != 0) == counted
            && (it.before != 0) == (kind == Kind.Active) && (it.tokens.length == 0 || kind == Kind.Counterparty)
            && _isList(it.tokens, MAX_TOKENS);
    }

    /// @dev By issuers, or by a collection that this contract can ask.
    function _isVouchedFor(Claim memory it) private view returns (bool) {
        if (it.issuers.length != 0) {
            return _isList(it.issuers, MAX_ISSUERS) && it.threshold != 0 && it.threshold <= it.issuers.length;
        }
        Kind kind = it.spec.kind;
        bool collection = kind == Kind.Erc721 || kind == Kind.Erc721Token;
        return collection && it.spec.chainId == block.chainid && it.threshold == 0;
    }

    /// @dev Ascending, so that none is there twice and a set has one form; nor is zero.
    function _isList(address[] memory list, uint256 most) private pure returns (bool) {
        if (list.length > most) return false;
        address last = address(0);
        for (uint256 index = 0; index < list.length; index++) {
            if (list[index] <= last) return false;
            last = list[index];
        }
        return true;
    }

    function _areRoots(uint256[] calldata roots, uint32 leaves) private pure returns (bool) {
        uint256 volumes = (uint256(leaves) + VOLUME - 1) / VOLUME;
        if (roots.length != volumes || volumes > MAX_VOLUMES) return false;
        for (uint256 index = 0; index < roots.length; index++) {
            if (roots[index] >= LeafLog.FIELD) return false;
        }
        return true;
    }
}
