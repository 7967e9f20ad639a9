//! The data plane's threads: one single-threaded runtime per core, so that a message crosses no thread.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// Threads for blocking work, per worker.
const BLOCKING_THREADS_MAX: usize = 16;

/// The running workers. Dropping them ends their runtimes.
pub struct Workers {
    handles: Vec<Handle>,
    threads: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    next: AtomicUsize,
}

impl Workers {
    /// Starts `count` workers; 0 stands for one per available core.
    ///
    /// # Errors
    /// Where a thread or runtime cannot be made.
    pub fn start(count: usize) -> std::io::Result<Arc<Self>> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let count = if count == 0 { cores } else { count };
        let (stop, stopped) = watch::channel(false);
        let mut workers = Self {
            handles: Vec::new(),
            threads: Vec::new(),
            stop,
            next: AtomicUsize::new(0),
        };
        for index in 0..count {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(BLOCKING_THREADS_MAX)
                .thread_name(format!("worker-{index}-blocking"))
                .build()?;
            workers.handles.push(runtime.handle().clone());
            let mut stopped = stopped.clone();
            let run = move || {
                // An error means that the sender is gone, which is a stop too.
                let _ = runtime.block_on(stopped.wait_for(|stop| *stop));
                runtime.shutdown_background();
            };
            workers.threads.push(
                std::thread::Builder::new()
                    .name(format!("worker-{index}"))
                    .spawn(run)?,
            );
        }
        Ok(Arc::new(workers))
    }

    /// The runtimes, one per worker.
    #[must_use]
    pub fn handles(&self) -> &[Handle] {
        &self.handles
    }

    /// Runs a task on the next worker in turn.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let index = self.next.fetch_add(1, Ordering::Relaxed) % self.handles.len();
        drop(self.handles[index].spawn(task));
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        for thread in self.threads.drain(..) {
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}
