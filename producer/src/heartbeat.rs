//! The task that writes this producer's signs of life.

use cenote_store::env::{Env, Task};
use cenote_store::log::{Heartbeat, LogWriter};

/// The heartbeat of one producer. It ends when it is dropped: one that ran on would promise what no producer keeps.
#[derive(Debug)]
pub(crate) struct HeartbeatTask(Task<()>);

impl HeartbeatTask {
    pub(crate) fn start(log: &LogWriter, env: &Env) -> HeartbeatTask {
        HeartbeatTask(env.spawn(log.heartbeat().beat()))
    }
}

/// Marks the dataset as free while its producer is busy: for a process that is asked to end.
///
/// What the producer does after that may still be committed, until the next producer opens the dataset.
///
/// # Example
/// ```
/// # use cenote_producer::{Producer, Record};
/// # #[derive(Record)]
/// # #[record(key = "id")]
/// # struct Movie { id: u64 }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cenote_producer::BoxError> {
/// let producer = Producer::builder("memory://releaser").with::<Movie>().open().await?;
/// let releaser = producer.releaser();
/// // In a handler of signals:
/// releaser.release().await;
/// // The next producer need not wait.
/// let next = Producer::builder("memory://releaser").with::<Movie>().open().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Releaser(pub(crate) Heartbeat);

impl Releaser {
    /// Writes that no producer owns the dataset. Returns whether the store confirmed it.
    ///
    /// [Example](Releaser#example)
    pub async fn release(&self) -> bool {
        self.0.release().await
    }
}

impl Drop for HeartbeatTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}
