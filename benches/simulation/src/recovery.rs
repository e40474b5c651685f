//! Recovery: all faults end, damaged objects are restored, and then everything must work again.
//!
//! A producer can take over and publish (I6), a new consumer opens and reads the newest version (I11), every other consumer
//! refreshes to it, views that were held are unchanged (I3), and retention succeeds.

use std::time::Duration;

use super::consumers::{self, Opening};
use super::driver::Driver;
use super::producers::{self, Action};
use super::slot::{ActorState, Slot};
use super::store_faults::ALL_LANDED;

/// The pause between refreshes. All of them together take longer than any quarantine.
const REFRESH_EVERY: Duration = Duration::from_mins(10);
/// The number of refreshes.
const REFRESHES: usize = 24;
/// Longer than any call takes when the store has no faults.
const CALLS_END: Duration = Duration::from_mins(30);

/// Records a failure unless everything works again.
pub(crate) async fn check(driver: &Driver) {
    let context = &driver.context;
    context.trace("recovery is checked".to_owned());
    driver.store_faults.end(context);
    context.env.sleep(ALL_LANDED).await;
    wait_until_idle(driver).await;
    publish(driver).await;
    read(driver).await;
    run_retention(driver).await;
    context.recheck_log();
    driver.note_panics().await;
}

/// Waits until all actors have finished their commands.
async fn wait_until_idle(driver: &Driver) {
    driver.context.env.sleep(CALLS_END).await;
    let has_owner = driver.producers.iter().any(|slot| slot.state() == ActorState::Idle);
    for slot in &driver.producers {
        // A producer that does not take over waits for as long as another one is open.
        if has_owner && slot.state() == ActorState::Opening {
            slot.kill();
        }
        require_idle(driver, slot);
    }
    for slot in &driver.consumers {
        require_idle(driver, slot);
    }
    for slot in &driver.retention_jobs {
        require_idle(driver, slot);
    }
    driver.note_panics().await;
    driver.context.recheck_log();
}

fn require_idle<C: 'static>(driver: &Driver, slot: &Slot<C>) {
    if matches!(slot.state(), ActorState::Busy | ActorState::Opening) {
        driver.context.fail(format!("{} does not finish although the store has no faults", slot.name));
    }
}

/// Some producer can publish: an open one, or else one that takes over.
async fn publish(driver: &Driver) {
    let context = &driver.context;
    let before = context.model.borrow().newest();
    for slot in driver.producers.iter().filter(|slot| slot.state() == ActorState::Idle) {
        update(driver, slot).await;
    }
    if context.model.borrow().newest() > before || context.has_failed() {
        return;
    }
    let Some(slot) = driver.producers.iter().find(|slot| slot.state() == ActorState::Absent) else {
        return context.fail("two producers are open, and neither can publish (I6)".to_owned());
    };
    driver.open_producer(slot, true);
    context.env.sleep(CALLS_END).await;
    if slot.state() == ActorState::Idle {
        update(driver, slot).await;
    }
    if context.model.borrow().newest() <= before {
        context.fail(format!("{} can't publish although the store has no faults (I6)", slot.name));
    }
}

/// Updates until an update is committed: some change nothing.
async fn update(driver: &Driver, slot: &Slot<producers::Command>) {
    let before = driver.context.model.borrow().newest();
    for _ in 0..20 {
        if slot.state() != ActorState::Idle || driver.context.model.borrow().newest() > before {
            return;
        }
        let rng = driver.rng.split();
        slot.send(producers::Command { action: Action::Update, patience: producers::PATIENT, rng });
        driver.context.env.sleep(CALLS_END).await;
        driver.context.read_log();
    }
}

/// A new consumer reads the newest version, and the others refresh to it.
async fn read(driver: &Driver) {
    let context = &driver.context;
    let newest = context.model.borrow().newest();
    match consumers::open(context, Opening { name: "consumer-new", poll: None }).await {
        Err(error) => {
            context.fail(format!("a new consumer does not open although the store has no faults: {error} (I11)"));
        }
        Ok(mut fresh) => {
            fresh.check();
            if fresh.version().0 != newest {
                context.fail(format!("a new consumer is at {}, the newest is {newest}", fresh.version()));
            }
        }
    }
    for slot in driver.consumers.iter().filter(|slot| slot.state() == ActorState::Idle) {
        slot.send(consumers::Command::CatchUp { newest, every: REFRESH_EVERY, refreshes: REFRESHES });
    }
    context.env.sleep(REFRESH_EVERY * u32::try_from(REFRESHES + 1).expect("small")).await;
    for slot in &driver.consumers {
        require_idle(driver, slot);
    }
}

/// Retention succeeds twice, with a checkpoint and without.
async fn run_retention(driver: &Driver) {
    for checkpoint in [true, false] {
        if let Err(error) = super::retention::run_once(&driver.context, checkpoint).await {
            driver.context.fail(format!("retention fails although the store has no faults: {error} (I11)"));
        }
    }
}
