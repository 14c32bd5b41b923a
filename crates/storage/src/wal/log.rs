//! Group commit: who waits for the log writes it, for all who wait.
//!
//! Records are enqueued under one short lock, where the caller's `State` (next numbers, recent
//! commits) lives too. The first waiter that finds no leader becomes one: it gathers what others
//! are about to enqueue, writes the group and syncs it, all outside the lock. Then it takes its turn
//! to apply, steps down, and lets the [`LogHooks`] apply the group while the next leader is at the
//! disk. Groups are applied in log order, since the turn is taken while still leading.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use codegraph_vector_base::{Clock, Error, ErrorKind, Lsn, Result};

use super::appender::{Appender, Failure};
use super::group::Group;
use super::sync::{Condvar, Mutex, MutexGuard};
use super::ticket::{Committed, Ticket};

/// A leader waits for company this part of a sync at most, and never longer than [`MAX_GATHER`].
const GATHER_SHARE: u32 = 4;
const MAX_GATHER: Duration = Duration::from_micros(500);
/// A group buffer that grew over this is given back once groups are small again.
const KEEP_BUFFER_BYTES: u64 = 1 << 20;

/// Whether a group is synced before it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Synced first.
    Sync,
    /// Written only; a later sync makes it durable.
    WriteOnly,
}

/// Where a group ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupEnd {
    /// The position behind it.
    pub lsn: Lsn,
    /// Everything before this is durable.
    pub synced: Lsn,
}

/// What the log's owner does at the turns of a group. Called by the leader, never under the log's lock
/// but for `failed`.
pub trait LogHooks<S, E> {
    /// Asked once a group.
    fn sync_policy(&self) -> SyncPolicy;

    /// The group is in the log: apply and publish its entries, in order. An error says that the
    /// state in memory no longer follows the log; the log then takes no more.
    ///
    /// `group` is the group as it was written: records lie where [`Group::append_placed`] said.
    fn committed(&self, entries: Vec<E>, group: &[u8], end: GroupEnd) -> Result<()>;

    /// The entries are not in the log, or it is unknown whether they are: forget them, and
    /// wind `state` back to before the first of them.
    fn failed(&self, state: &mut S, entries: Vec<E>);
}

/// Counts since the log was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStatistics {
    /// Groups written.
    pub groups: u64,
    /// Records' owners served by them.
    pub commits: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Syncs made.
    pub syncs: u64,
    /// Time spent in them, in microseconds.
    pub sync_us: u64,
}

#[derive(Debug, Default)]
struct Counters {
    groups: AtomicU64,
    commits: AtomicU64,
    bytes: AtomicU64,
    syncs: AtomicU64,
    sync_us: AtomicU64,
}

struct Queue<S, E> {
    state: S,
    group: Group,
    spare: Option<Group>,
    entries: Vec<(E, Arc<Ticket>)>,
    leading: bool,
    /// How often a leader has stepped down.
    rounds: u64,
    /// Holders that sleep; one is poked when a leader is wanted.
    blocked: Vec<Arc<Ticket>>,
    /// How many commits the last round had, queued ones included.
    company: usize,
    /// Set for ever by a failure that leaves the log's end unknown.
    failed: Option<Error>,
}

impl<S, E> Queue<S, E> {
    /// Keeps the memory of a group for another, unless groups have become small again.
    fn keep(&mut self, group: Group) {
        let small = group.end().0 - group.start().0 < KEEP_BUFFER_BYTES;
        if !(small && group.capacity() as u64 > KEEP_BUFFER_BYTES) {
            self.spare = Some(group);
        }
    }

    /// Wakes a sleeper whose record is queued. One whose record is being applied already is left
    /// alone: leading would hold its acknowledgement up by a sync.
    fn ask_someone_to_lead(&mut self) {
        while let Some(at) = self.blocked.iter().position(|ticket| !ticket.is_taken()) {
            if self.blocked.remove(at).poke() {
                return;
            }
        }
    }
}

/// The log of an open store.
pub struct Log<S, E> {
    queue: Mutex<Queue<S, E>>,
    arrived: Condvar,
    idle: Condvar,
    appender: Mutex<Appender>,
    /// Held while a group is applied; an error once one could not be, which none may follow.
    turn: Mutex<Option<Error>>,
    sync_time: Mutex<Duration>,
    clock: Arc<dyn Clock>,
    counters: Counters,
}

impl<S, E> Log<S, E> {
    /// A log that goes on where `appender` stands.
    pub fn new(appender: Appender, state: S, clock: Arc<dyn Clock>) -> Self {
        let queue = Queue {
            state,
            group: Group::new(appender.seal(), appender.end()),
            spare: None,
            entries: Vec::new(),
            leading: false,
            rounds: 0,
            blocked: Vec::new(),
            company: 1,
            failed: None,
        };
        Self {
            queue: Mutex::new(queue),
            arrived: Condvar::new(),
            idle: Condvar::new(),
            appender: Mutex::new(appender),
            turn: Mutex::new(None),
            sync_time: Mutex::new(Duration::ZERO),
            clock,
            counters: Counters::default(),
        }
    }

    /// Runs `fill` under the log's lock: it may look at and change the state, and append records
    /// to the next group. If it fails it must have appended nothing and changed nothing.
    ///
    /// # Errors
    /// `ReadOnly` once the log has failed; whatever `fill` returns.
    pub fn enqueue<R>(
        &self,
        fill: impl FnOnce(&mut S, &mut Group) -> Result<(E, R)>,
    ) -> Result<(Arc<Ticket>, R)> {
        let mut queue = self.queue.lock();
        if let Some(error) = &queue.failed {
            return Err(error.clone());
        }
        let Queue { state, group, .. } = &mut *queue;
        let (entry, result) = fill(state, group)?;
        let ticket = Arc::new(Ticket::default());
        queue.entries.push((entry, ticket.clone()));
        if queue.entries.len() >= queue.company {
            self.arrived.notify_one();
        }
        Ok((ticket, result))
    }

    /// Waits until the record behind `ticket` is in the log and applied, leading groups if need be.
    pub fn wait(&self, ticket: &Arc<Ticket>, hooks: &dyn LogHooks<S, E>) -> Result<Committed> {
        loop {
            if let Some(outcome) = self.advance(ticket, hooks) {
                return outcome;
            }
            ticket.park();
        }
    }

    /// The outcome, or `None` if another thread leads, or applies this record already, and this ticket is
    /// registered to be woken.
    fn advance(&self, ticket: &Arc<Ticket>, hooks: &dyn LogHooks<S, E>) -> Option<Result<Committed>> {
        loop {
            let mut queue = self.queue.lock();
            if let Some(outcome) = ticket.outcome() {
                // It may have been asked to lead just before it was served.
                if !queue.leading {
                    queue.ask_someone_to_lead();
                }
                return Some(outcome);
            }
            if queue.leading || ticket.is_taken() {
                queue.blocked.push(ticket.clone());
                return None;
            }
            queue.leading = true;
            self.lead(queue, hooks);
        }
    }

    fn lead(&self, mut queue: MutexGuard<'_, Queue<S, E>>, hooks: &dyn LogHooks<S, E>) {
        self.gather(&mut queue);
        let entries = std::mem::take(&mut queue.entries);
        entries.iter().for_each(|(_, ticket)| ticket.take());
        let (seal, start) = (self.appender.lock().seal(), queue.group.end());
        let start = if queue.group.is_empty() { queue.group.start() } else { start };
        let mut next = queue.spare.take().unwrap_or_else(|| Group::new(seal, start));
        next.reset(seal, start);
        let mut group = std::mem::replace(&mut queue.group, next);
        // Queued before the log failed: what follows a hole would not survive it.
        let failed = queue.failed.clone();
        drop(queue);

        let count = entries.len();
        let written = match failed {
            Some(error) => Err(Failure::Clean(error)),
            None => self.write(&mut group, hooks.sync_policy()),
        };
        let turn = self.turn.lock();
        match written {
            Ok(end) => {
                self.step_down(self.queue.lock(), count);
                self.finish(entries, &group, end, turn, hooks);
            }
            Err(failure) => {
                let queue = self.fail(entries, failure, hooks);
                self.step_down(queue, count);
            }
        }
        self.queue.lock().keep(group);
    }

    /// Waits a moment for as many commits as the last round had: without it, the commits that one
    /// sync released would always miss the next one, and half of them share each.
    fn gather(&self, queue: &mut MutexGuard<'_, Queue<S, E>>) {
        let budget = (*self.sync_time.lock() / GATHER_SHARE).min(MAX_GATHER);
        let deadline = self.clock.monotonic() + budget;
        while queue.entries.len() < queue.company {
            let left = deadline.saturating_sub(self.clock.monotonic());
            if left.is_zero() || self.arrived.wait_for(queue, left).timed_out() {
                return;
            }
        }
    }

    fn write(&self, group: &mut Group, policy: SyncPolicy) -> Result<GroupEnd, Failure> {
        let mut appender = self.appender.lock();
        if !group.is_empty() {
            let synced = appender.synced();
            let bytes = group.seal(synced);
            appender.append(bytes)?;
            self.counters.groups.fetch_add(1, Ordering::Relaxed);
            self.counters.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        if policy == SyncPolicy::Sync {
            self.timed_sync(&mut appender)?;
        }
        Ok(GroupEnd { lsn: appender.end(), synced: appender.synced() })
    }

    fn timed_sync(&self, appender: &mut Appender) -> Result<(), Failure> {
        if appender.synced() == appender.end() {
            return Ok(());
        }
        let begin = self.clock.monotonic();
        appender.sync()?;
        let took = self.clock.monotonic().saturating_sub(begin);
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        self.counters.sync_us.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
        let mut average = self.sync_time.lock();
        *average = (*average * 7 + took) / 8;
        Ok(())
    }

    fn finish(
        &self,
        entries: Vec<(E, Arc<Ticket>)>,
        group: &Group,
        end: GroupEnd,
        turn: MutexGuard<'_, Option<Error>>,
        hooks: &dyn LogHooks<S, E>,
    ) {
        self.counters.commits.fetch_add(entries.len() as u64, Ordering::Relaxed);
        let (entries, tickets): (Vec<E>, Vec<_>) = entries.into_iter().unzip();
        let mut turn = Turn { queue: &self.queue, failed: Some(turn), tickets, end };
        if let Some(failed) = turn.failed.as_mut().filter(|failed| failed.is_none()) {
            // Stands if applying panics.
            **failed = Some(Error::new(ErrorKind::Corrupt, "applying a commit panicked"));
            **failed = hooks.committed(entries, group.bytes(), end).err();
        }
    }

    /// Fails the group and everything queued behind it, which was numbered to follow it.
    fn fail(
        &self,
        in_flight: Vec<(E, Arc<Ticket>)>,
        failure: Failure,
        hooks: &dyn LogHooks<S, E>,
    ) -> MutexGuard<'_, Queue<S, E>> {
        let mut queue = self.queue.lock();
        let (for_group, for_queued) = match failure {
            Failure::Clean(error) => (error.clone(), error),
            Failure::Fatal(error) => {
                let latch = latched(&error);
                queue.failed = Some(latch.clone());
                let unknown = error.as_kind(ErrorKind::OutcomeUnknown);
                (
                    unknown.context("the write was not confirmed; it may or may not be there after a reopen"),
                    latch,
                )
            }
        };
        let queued = std::mem::take(&mut queue.entries);
        let appender = self.appender.lock();
        queue.group.reset(appender.seal(), appender.end());
        drop(appender);
        let (mut entries, group_tickets): (Vec<E>, Vec<_>) = in_flight.into_iter().unzip();
        let (queued, queued_tickets): (Vec<E>, Vec<_>) = queued.into_iter().unzip();
        entries.extend(queued);
        hooks.failed(&mut queue.state, entries);
        group_tickets.iter().for_each(|ticket| ticket.complete(Err(for_group.clone())));
        queued_tickets.iter().for_each(|ticket| ticket.complete(Err(for_queued.clone())));
        queue
    }

    fn step_down(&self, mut queue: MutexGuard<'_, Queue<S, E>>, count: usize) {
        queue.company = (count + queue.entries.len()).max(1);
        queue.leading = false;
        queue.rounds += 1;
        self.idle.notify_all();
        queue.ask_someone_to_lead();
        queue.blocked.retain(|ticket| ticket.outcome().is_none());
    }

    /// Writes everything that is queued, whoever waits for it, and waits until all that was written is
    /// applied. What others queue meanwhile is theirs: where there is always more, this ends nonetheless.
    pub fn drain(&self, hooks: &dyn LogHooks<S, E>) {
        let mut queue = self.queue.lock();
        let last = queue.entries.last().map(|(_, ticket)| ticket.clone());
        let round = queue.rounds;
        loop {
            let is_over = |queue: &Queue<S, E>| match &last {
                Some(ticket) => ticket.outcome().is_some(),
                None => queue.rounds != round,
            };
            while queue.leading && !is_over(&queue) {
                self.idle.wait(&mut queue);
            }
            if is_over(&queue) || last.is_none() || queue.entries.is_empty() {
                break;
            }
            queue.leading = true;
            self.lead(queue, hooks);
            queue = self.queue.lock();
        }
        drop(queue);
        drop(self.turn.lock()); // Whoever led last has taken its turn before it stepped down.
    }

    /// Makes everything written so far durable; returns where that ends.
    ///
    /// # Errors
    /// The failure, which is final: the log takes no more writes.
    pub fn sync(&self) -> Result<Lsn> {
        if let Some(error) = self.failure() {
            return Err(error);
        }
        let mut appender = self.appender.lock();
        let outcome = self.timed_sync(&mut appender).map(|()| appender.synced());
        drop(appender);
        outcome.map_err(|(Failure::Clean(error) | Failure::Fatal(error))| self.latch(error))
    }

    /// Goes on in another file if the open one has at least so many bytes, so that it can be removed when nobody needs
    /// it any more. That there is no room for another file is no failure: the log goes on in this one.
    ///
    /// # Errors
    /// As [`Log::sync`].
    pub fn rotate(&self, least_bytes: u64) -> Result<()> {
        if let Some(error) = self.failure() {
            return Err(error);
        }
        let outcome = self.appender.lock().rotate(least_bytes);
        match outcome {
            Ok(()) | Err(Failure::Clean(_)) => Ok(()),
            Err(Failure::Fatal(error)) => Err(self.latch(error)),
        }
    }

    /// Takes no more writes, and says that of the last nobody knows what became.
    fn latch(&self, error: Error) -> Error {
        self.queue.lock().failed.get_or_insert_with(|| latched(&error));
        error.as_kind(ErrorKind::OutcomeUnknown)
    }

    /// From the next group on, a file of this many bytes is followed by another.
    pub fn set_max_file_bytes(&self, max_file_bytes: u64) {
        self.appender.lock().set_max_file_bytes(max_file_bytes);
    }

    /// Looks at or changes the state under the log's lock.
    pub fn with_state<R>(&self, f: impl FnOnce(&mut S) -> R) -> R {
        f(&mut self.queue.lock().state)
    }

    /// Gives back what memory groups do not need while nobody writes.
    pub fn shrink(&self) {
        let mut queue = self.queue.lock();
        queue.spare = None;
        queue.group.shrink();
    }

    /// Why the log takes no more writes, if so.
    pub fn failure(&self) -> Option<Error> {
        self.queue.lock().failed.clone()
    }

    /// Stops the log from outside: later writes get `error`. What is at the disk already is waited for, so
    /// that from then on the log does not grow.
    pub fn shut(&self, error: Error) {
        let mut queue = self.queue.lock();
        queue.failed.get_or_insert(error);
        while queue.leading {
            self.idle.wait(&mut queue);
        }
        drop(queue);
        drop(self.turn.lock());
    }

    /// The open end of the log: end, durable end, epoch.
    pub fn appender<R>(&self, f: impl FnOnce(&Appender) -> R) -> R {
        f(&self.appender.lock())
    }

    /// Counts since the log was opened.
    pub fn statistics(&self) -> LogStatistics {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LogStatistics {
            groups: get(&self.counters.groups),
            commits: get(&self.counters.commits),
            bytes: get(&self.counters.bytes),
            syncs: get(&self.counters.syncs),
            sync_us: get(&self.counters.sync_us),
        }
    }
}

/// The turn of a group to be applied. Its end tells who waits, also if applying panics.
struct Turn<'a, S, E> {
    queue: &'a Mutex<Queue<S, E>>,
    failed: Option<MutexGuard<'a, Option<Error>>>,
    tickets: Vec<Arc<Ticket>>,
    end: GroupEnd,
}

impl<S, E> Drop for Turn<'_, S, E> {
    fn drop(&mut self) {
        let outcome = match self.failed.as_ref().and_then(|failed| (**failed).as_ref()) {
            None => Ok(Committed { durable: self.end.synced >= self.end.lsn }),
            Some(error) => {
                self.queue.lock().failed.get_or_insert_with(|| latched(error));
                let unknown = error.clone().as_kind(ErrorKind::OutcomeUnknown);
                Err(unknown.context("the commit is logged but could not be applied"))
            }
        };
        drop(self.failed.take());
        self.tickets.iter().for_each(|ticket| ticket.complete(outcome.clone()));
    }
}

fn latched(cause: &Error) -> Error {
    let message =
        format!("the store takes no more writes until it is reopened, because its log failed: {cause}");
    Error::new(ErrorKind::ReadOnly, message)
}
