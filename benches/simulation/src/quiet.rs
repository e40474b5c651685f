//! The calm: faults end, what was taken comes back, and then all must be well.
//!
//! A producer can take the dataset and publish (I6), a fresh consumer opens and reads the newest version (I11), every
//! other consumer comes to it by itself, views that were held are what they were (I3), and retention runs through.

use std::time::Duration;

use super::consumers::{self, Opening};
use super::driver::Stage;
use super::mishaps::ALL_LANDED;
use super::producers::{self, What};
use super::slot::{Mood, Slot};

/// Looks for a newer version are so far apart, and so many are made: longer than any quarantine.
const LOOK_EVERY: Duration = Duration::from_secs(600);
const LOOKS: usize = 24;
/// Longer than any call under way takes, once the store is well.
const CALLS_END: Duration = Duration::from_secs(1_800);

/// Fails unless all is well.
pub(crate) async fn all_is_well(stage: &Stage) {
    let world = &stage.world;
    world.trace("it is quiet".to_owned());
    stage.mishaps.end(world);
    world.env.sleep(ALL_LANDED).await;
    settle_down(stage).await;
    publish(stage).await;
    read(stage).await;
    clean_up(stage).await;
    world.look_again();
    stage.note_panics().await;
}

/// Waits until everybody has finished what was begun.
async fn settle_down(stage: &Stage) {
    stage.world.env.sleep(CALLS_END).await;
    let someone_holds = stage.producers.iter().any(|slot| slot.mood() == Mood::Idle);
    for slot in &stage.producers {
        // Who does not take over waits for as long as another lives.
        if someone_holds && slot.mood() == Mood::Opening {
            slot.kill();
        }
        busy(stage, slot);
    }
    for slot in &stage.consumers {
        busy(stage, slot);
    }
    for slot in &stage.janitors {
        busy(stage, slot);
    }
    stage.note_panics().await;
    stage.world.look_again();
}

fn busy<O: 'static>(stage: &Stage, slot: &Slot<O>) {
    if matches!(slot.mood(), Mood::Busy | Mood::Opening) {
        stage.world.fail(format!("{} does not come to an end though the store is well", slot.name));
    }
}

/// Somebody can publish: who is there, else who takes over.
async fn publish(stage: &Stage) {
    let world = &stage.world;
    let before = world.book.borrow().newest();
    for slot in stage.producers.iter().filter(|slot| slot.mood() == Mood::Idle) {
        order(stage, slot).await;
    }
    if world.book.borrow().newest() > before || world.has_failed() {
        return;
    }
    let Some(slot) = stage.producers.iter().find(|slot| slot.mood() == Mood::Gone) else {
        return world.fail("two producers are there, and neither can publish (I6)".to_owned());
    };
    stage.open_producer(slot, true);
    world.env.sleep(CALLS_END).await;
    if slot.mood() == Mood::Idle {
        order(stage, slot).await;
    }
    if world.book.borrow().newest() <= before {
        world.fail(format!("{} can't publish though the store is well (I6)", slot.name));
    }
}

/// Updates until one of them stands: each may turn out to change nothing.
async fn order(stage: &Stage, slot: &Slot<producers::Order>) {
    let before = stage.world.book.borrow().newest();
    for _ in 0..20 {
        if slot.mood() != Mood::Idle || stage.world.book.borrow().newest() > before {
            return;
        }
        let dice = stage.dice.split();
        slot.order(producers::Order { what: What::Update, patience: producers::PATIENT, dice });
        stage.world.env.sleep(CALLS_END).await;
        stage.world.look();
    }
}

/// A fresh consumer reads the newest version, and the others come to it.
async fn read(stage: &Stage) {
    let world = &stage.world;
    let newest = world.book.borrow().newest();
    match consumers::open(world, Opening { name: "gina", poll: None }).await {
        Err(error) => world.fail(format!("a fresh consumer does not open though the store is well: {error} (I11)")),
        Ok(mut fresh) => {
            fresh.check();
            if fresh.version().0 != newest {
                world.fail(format!("a fresh consumer is at {}, the newest is {newest}", fresh.version()));
            }
        }
    }
    for slot in stage.consumers.iter().filter(|slot| slot.mood() == Mood::Idle) {
        slot.order(consumers::Order::CatchUp { newest, every: LOOK_EVERY, looks: LOOKS });
    }
    world.env.sleep(LOOK_EVERY * u32::try_from(LOOKS + 1).expect("small")).await;
    for slot in &stage.consumers {
        busy(stage, slot);
    }
}

/// Retention runs through, twice: the second has nothing to wait for.
async fn clean_up(stage: &Stage) {
    for checkpoint in [true, false] {
        if let Err(error) = super::janitor::pass(&stage.world, checkpoint).await {
            stage.world.fail(format!("the janitor stops though the store is well: {error} (I11)"));
        }
    }
}
