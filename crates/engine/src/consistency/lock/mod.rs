//! Locks on the store and its nodes, held by transactions and by single writes from their call until their commit is visible.
//!
//! What always holds:
//! - no two owners hold locks that do not go together ([`mode`]);
//! - requests are served in the order in which they came, but for those that delay nobody before them ([`line`]);
//! - who locks a node holds an intention on the store, so that a lock of the store is one of all nodes;
//! - an owner waits for one lock at a time, and nobody waits in a circle for longer than it takes to find it;
//! - what an owner holds is freed when its [`LockSet`] is dropped, wherever that happens: the thread that applies a commit
//!   frees the locks of those who wrote it. Nothing else is locked while the table is, so that may be done under any lock.
//!
//! # Circles
//!
//! Who waits, waits for those who block its request ([`line`]). Circles are looked for when a wait begins, from the one that
//! begins to wait, and at no other time. That is enough: a circle is closed by the last of its edges to come about, and an edge
//! from one that waits to another that waits comes about only when one of them begins to wait:
//!
//! - One that waits comes to hold more only by getting what it waits for, and then it waits no more. So the locks of all in a
//!   circle are those that they had when they began to wait.
//! - Nobody in a queue gets behind another who waited already, but behind holders who ask for more; and those begin
//!   to wait then. The new edges lead to them, so a circle that these close leads through them.
//! - A request may be granted past waiters, and block some of them from then on, if it is one of a holder. Such an edge leads to one that does
//!   not wait; should it begin to, it finds the edge there.
//!
//! One wait begins at a time (`Locks::beginning`), and none ends by granting while its circle stands, so a circle that was found was
//! one as a whole. Each that goes through the one that begins to wait is broken before the next wait begins: its youngest is told to give
//! up ("doomed"), and who is doomed counts no more. What it holds is freed by whoever owns it.
//!
//! Under [`crate::DeadlockPolicy::WoundWait`] an older owner that begins to wait dooms the younger ones that block it, so that the young wait for the
//! old and no circle comes about. Circles are looked for nonetheless: the policy may change while some wait, and
//! a holder that asks for more may get in the way of an older one that waits already.

mod deadlock;
mod line;
#[cfg(test)]
mod line_tests;
mod mode;
mod owner;
mod set;
#[cfg(test)]
mod shuttled;
mod statistics;
mod sync;
mod table;
#[cfg(test)]
mod tests;

pub use mode::{LockMode, LockTarget};
pub(crate) use set::{LockSet, LockWait, Locks};
pub use statistics::LockStatistics;
