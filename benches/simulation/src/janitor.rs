//! A janitor: comes by, joins the log, trims it and sweeps up, and may be killed at any of that.

use std::rc::Rc;

use cenote_store::log::retention::{TrimError, sweep, trim};
use cenote_store::log::{LogReader, LogWriter, Outcome as LogOutcome, WriterOptions};

use super::slot::Seat;
use super::tally::Outcome;
use super::world::{RETENTION, World};

/// A pass: a checkpoint now and then, a trim, a sweep. Says how far it came.
pub(crate) async fn pass(world: &World, checkpoint: bool) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let reader = LogReader::start_with(world.store.clone(), world.rules).await.map_err(|error| told(&error))?;
    let options = WriterOptions { owner: "janitor".to_owned(), rules: world.rules, ..WriterOptions::default() };
    let mut writer = LogWriter::join(&reader, world.env.clone(), options);
    if checkpoint {
        let outcome = writer.checkpoint().await.map_err(|error| told(&error))?;
        if !matches!(outcome, LogOutcome::Committed(_)) {
            return Err(format!("its checkpoint is not there: {outcome:?}"));
        }
    }
    let trimmed = trim(&mut writer, &RETENTION).await.map_err(|error| {
        if matches!(error, TrimError::NotCommitted(LogOutcome::Lost(_))) {
            world.count(Outcome::Lost);
        }
        told(&error)
    })?;
    world.trace(format!("janitor trims to {}: {}, {}", trimmed.log_start, trimmed.tombstones, trimmed.deleted));
    let swept = sweep(&world.store, world.rules).await.map_err(|error| told(&error))?;
    world.trace(format!("janitor sweeps up {swept}"));
    (0..swept).for_each(|_| world.count(Outcome::Swept));
    Ok(())
}

/// One pass, as an actor.
pub(crate) async fn live(world: Rc<World>, checkpoint: bool, _seat: Seat<()>) {
    if let Err(error) = pass(&world, checkpoint).await {
        world.trace(format!("janitor stops: {error}"));
    }
}
