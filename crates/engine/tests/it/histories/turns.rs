//! Whose turn it is: workers take steps one at a time in a random order, but for those that wait for a lock; or all at once.

use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;

use codegraph_vector_testkit::Rng;

/// A worker's place in the order of things.
pub(super) struct Turn {
    me: usize,
    /// Without an order there is nobody to ask.
    order: Option<(Receiver<()>, Sender<Message>)>,
}

#[derive(Clone, Copy, Debug)]
enum Message {
    Ready(usize),
    Over(usize),
}

impl Turn {
    /// Waits until it is this worker's turn.
    pub(super) fn begin(&self) {
        match &self.order {
            // If the conductor is gone, the test has failed already.
            Some((go, _)) => drop(go.recv()),
            None => thread::yield_now(),
        }
    }

    /// Lets another worker go on, and waits for the next turn.
    pub(super) fn pass(&self) {
        if let Some((_, done)) = &self.order {
            let _ = done.send(Message::Ready(self.me));
        }
        self.begin();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some((_, done)) = &self.order {
            let _ = done.send(Message::Over(self.me));
        }
    }
}

/// Who says whose turn it is.
pub(super) struct Conductor {
    go: Vec<Sender<()>>,
    done: Receiver<Message>,
    ready: Vec<usize>,
    /// Workers whose step waits for a lock.
    blocked: Vec<usize>,
}

/// Turns for so many workers; without an order there is no conductor.
pub(super) fn turns(workers: usize, ordered: bool) -> (Vec<Turn>, Option<Conductor>) {
    if !ordered {
        return ((0..workers).map(|me| Turn { me, order: None }).collect(), None);
    }
    let (done, ended) = channel();
    let (mut turns, mut go) = (Vec::new(), Vec::new());
    for me in 0..workers {
        let (sender, receiver) = channel();
        turns.push(Turn { me, order: Some((receiver, done.clone())) });
        go.push(sender);
    }
    (turns, Some(Conductor { go, done: ended, ready: (0..workers).collect(), blocked: Vec::new() }))
}

impl Conductor {
    fn hear(&mut self, message: Message) -> usize {
        let (Message::Ready(who) | Message::Over(who)) = message;
        self.blocked.retain(|other| *other != who);
        if matches!(message, Message::Ready(_)) {
            self.ready.push(who);
        }
        who
    }

    /// Lets one worker take a step, until that is over or waits for a lock; `waiting` tells how many do. Returns whether there
    /// are steps left.
    pub(super) fn step(&mut self, rng: &mut Rng, waiting: impl Fn() -> u64) -> bool {
        while let Ok(message) = self.done.try_recv() {
            self.hear(message);
        }
        if self.ready.is_empty() {
            if self.blocked.is_empty() {
                return false;
            }
            // All wait for locks, one of them in vain: deadlocks are found without us.
            let message = self.done.recv().expect("workers are there");
            self.hear(message);
            return true;
        }
        let who = self.ready.swap_remove(rng.below(self.ready.len()));
        if self.go[who].send(()).is_err() {
            return true;
        }
        loop {
            match self.done.try_recv() {
                Ok(message) if self.hear(message) == who => return true,
                Ok(_) => {}
                Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) if waiting() > self.blocked.len() as u64 => {
                    self.blocked.push(who);
                    return true;
                }
                Err(TryRecvError::Empty) => thread::yield_now(),
            }
        }
    }
}
