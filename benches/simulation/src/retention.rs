//! A retention job: joins the log, trims it and sweeps garbage; it may be killed at any await.

use std::rc::Rc;

use cenote_store::log::retention::{TrimError, sweep, trim};
use cenote_store::log::{LogReader, LogWriter, Outcome as LogOutcome, WriterOptions};

use super::context::{Context, RETENTION};
use super::slot::Mailbox;
use super::tally::Outcome;

/// Runs retention once: a checkpoint if asked for, a trim, a sweep.
pub(crate) async fn run_once(context: &Context, checkpoint: bool) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let reader = LogReader::start_with(context.store.clone(), context.rules).await.map_err(|error| text(&error))?;
    let options = WriterOptions { owner: "retention".to_owned(), rules: context.rules, ..WriterOptions::default() };
    let mut writer = LogWriter::join(&reader, context.env.clone(), options);
    if checkpoint {
        let outcome = writer.checkpoint().await.map_err(|error| text(&error))?;
        if !matches!(outcome, LogOutcome::Committed(_)) {
            return Err(format!("the checkpoint was not committed: {outcome:?}"));
        }
    }
    let trimmed = trim(&mut writer, &RETENTION).await.map_err(|error| {
        if matches!(error, TrimError::NotCommitted(LogOutcome::Lost(_))) {
            context.count(Outcome::Lost);
        }
        text(&error)
    })?;
    context.trace(format!("retention trims to {}: {}, {}", trimmed.log_start, trimmed.tombstones, trimmed.deleted));
    let swept = sweep(&context.store, context.rules).await.map_err(|error| text(&error))?;
    context.trace(format!("retention sweeps {swept}"));
    (0..swept).for_each(|_| context.count(Outcome::Swept));
    Ok(())
}

/// Runs retention once, as an actor.
pub(crate) async fn run(context: Rc<Context>, checkpoint: bool, _mailbox: Mailbox<()>) {
    if let Err(error) = run_once(&context, checkpoint).await {
        context.trace(format!("retention fails: {error}"));
    }
}
