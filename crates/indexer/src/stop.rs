//! How runs and watches are ended from elsewhere.

use std::convert::Infallible;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use parking_lot::Mutex;

/// Ends what it was given to, from any thread; clones are one and the same.
#[derive(Clone, Debug)]
pub struct Stop {
    /// Gone once it was said: whoever waits for `said` is woken by that.
    unsaid: Arc<Mutex<Option<Sender<Infallible>>>>,
    said: Receiver<Infallible>,
}

impl Default for Stop {
    fn default() -> Self {
        let (unsaid, said) = bounded(0);
        Self { unsaid: Arc::new(Mutex::new(Some(unsaid))), said }
    }
}

impl Stop {
    /// Says that it is to end. A run ends between two files: what it has stored by then stays and is durable.
    pub fn stop(&self) {
        self.unsaid.lock().take();
    }

    /// Whether that was said.
    pub fn is_stopped(&self) -> bool {
        self.said.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Is disconnected once it was said; nothing ever comes from it.
    pub(crate) fn said(&self) -> &Receiver<Infallible> {
        &self.said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_and_for_all_clones() {
        let stop = Stop::default();
        let other = stop.clone();
        assert!(!other.is_stopped());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| stop.said().recv());
            other.stop();
            assert!(waits.join().unwrap().is_err());
        });
        other.stop();
        assert!(stop.is_stopped() && other.is_stopped() && !Stop::default().is_stopped());
    }
}
