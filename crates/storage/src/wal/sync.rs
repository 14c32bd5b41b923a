//! What threads wait on in the log. Apart from the rest, so that tests can put another scheduler's in its place.

pub(super) use parking_lot::{Condvar, Mutex, MutexGuard};
