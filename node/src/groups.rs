//! Groups and their roots.
