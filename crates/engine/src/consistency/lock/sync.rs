//! What threads wait on. Apart from the rest, so that tests can put another scheduler's in its place.

pub(super) use parking_lot::{Condvar, Mutex};
