//! What readers and the one who publishes meet in. Apart from the rest, so that tests can put another scheduler's in its place.

pub(super) use std::sync::atomic::AtomicU64;

pub(super) use arc_swap::ArcSwap;
