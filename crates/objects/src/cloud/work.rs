//! Requests in the background of callers that wait: a runtime of their own, so many at once, so many bytes a second.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use codegraph_vector_base::{Error, ErrorKind, Result};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep_until};

use super::TargetOptions;

/// Where requests are made.
pub(super) struct Work {
    /// There until it is dropped.
    runtime: Option<Runtime>,
    requests: Arc<Semaphore>,
    pace: Arc<Pace>,
}

impl Debug for Work {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Work")
    }
}

impl Work {
    pub(super) fn new(options: &TargetOptions) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("cgv-target")
            .enable_all()
            .build()
            .map_err(|cause| Error::io("start the thread of a target", "", cause))?;
        Ok(Self {
            runtime: Some(runtime),
            requests: Arc::new(Semaphore::new(options.requests)),
            pace: Arc::new(Pace { bytes_per_second: options.bytes_per_second, free_at: Mutex::default() }),
        })
    }

    /// Begins a request that sends so many bytes. Callers may be anywhere, on the thread of another runtime, too.
    pub(super) fn start<T: Send + 'static>(
        &self,
        bytes: u64,
        request: impl Future<Output = T> + Send + 'static,
    ) -> Started<T> {
        let (to, answer) = sync_channel(1);
        let (requests, pace) = (self.requests.clone(), self.pace.clone());
        if let Some(runtime) = &self.runtime {
            runtime.spawn(async move {
                // Closed never.
                let _permit = requests.acquire().await;
                pace.wait(bytes).await;
                // Nobody waits any more if this fails.
                let _ = to.send(request.await);
            });
        }
        Started(answer)
    }

    /// Makes a request that sends so many bytes, and waits for its answer.
    pub(super) fn run<T: Send + 'static>(
        &self,
        bytes: u64,
        request: impl Future<Output = T> + Send + 'static,
    ) -> Result<T> {
        self.start(bytes, request).wait()
    }

    /// Counts bytes that came: the next request waits for them.
    pub(super) fn received(&self, bytes: u64) -> Result<()> {
        match self.pace.bytes_per_second {
            None => Ok(()),
            Some(_) => {
                let pace = self.pace.clone();
                self.run(0, async move { pace.take(bytes).await }).map(|_| ())
            }
        }
    }

    pub(super) fn sleep(&self, wait: Duration) -> Result<()> {
        // A timer can only be made on the runtime.
        self.run(0, async move { tokio::time::sleep(wait).await })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // Whoever drops it may be on the thread of another runtime, which must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A request under way.
pub(super) struct Started<T>(Receiver<T>);

impl<T> Started<T> {
    pub(super) fn wait(self) -> Result<T> {
        self.0.recv().map_err(|_| Error::new(ErrorKind::Internal, "a request to the target broke off"))
    }
}

/// Keeps bytes to so many a second, on average.
#[derive(Debug)]
struct Pace {
    bytes_per_second: Option<u64>,
    /// When all that was counted so far has had its time.
    free_at: Mutex<Option<Instant>>,
}

impl Pace {
    /// Counts bytes, and from when on they may go.
    async fn take(&self, bytes: u64) -> Option<Instant> {
        let rate = self.bytes_per_second?;
        let mut free_at = self.free_at.lock().await;
        let now = Instant::now();
        let begin = free_at.map_or(now, |free_at| free_at.max(now));
        *free_at = Some(begin + Duration::from_secs_f64(bytes as f64 / rate as f64));
        Some(begin)
    }

    async fn wait(&self, bytes: u64) {
        if let Some(begin) = self.take(bytes).await {
            sleep_until(begin).await;
        }
    }
}
