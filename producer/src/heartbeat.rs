//! The task that writes this producer's signs of life.

use cenote_store::env::{Env, Task};
use cenote_store::log::LogWriter;

/// The heartbeat of one producer. It ends when it is dropped: one that ran on would promise what no producer keeps.
#[derive(Debug)]
pub(crate) struct HeartbeatTask(Task<()>);

impl HeartbeatTask {
    pub(crate) fn start(log: &LogWriter, env: &Env) -> HeartbeatTask {
        HeartbeatTask(env.spawn(log.heartbeat().beat()))
    }
}

impl Drop for HeartbeatTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}
