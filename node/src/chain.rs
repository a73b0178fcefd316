//! Follows the contracts.
