//! What befalls the store: the weather, objects that vanish or rot for a while, a newest entry that is lost.
//!
//! Rules: whatever is taken is given back, so that in the end all must be well; what no rule of order could survive
//! (an old entry gone for good, a store that forgets what nobody was told of) does not happen.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use bytes::Bytes;
use cenote_store::log::tail::read_hint;
use cenote_testing::faults::{Fault, Odds, RequestKind, Rule};
use futures::FutureExt;

use super::audit;
use super::dice::Dice;
use super::tally::Outcome;
use super::world::World;

/// An object that is not what it was.
struct Taken {
    name: String,
    bytes: Bytes,
}

/// What is wrong at the moment.
#[derive(Default)]
pub(crate) struct Mishaps {
    taken: RefCell<Vec<Taken>>,
    /// The newest entry is gone: no other mishap, or two of them would be one too many.
    log_is_short: Cell<bool>,
}

impl Mishaps {
    pub(crate) fn log_is_short(&self) -> bool {
        self.log_is_short.get()
    }

    pub(crate) fn any(&self) -> bool {
        !self.taken.borrow().is_empty()
    }

    /// Other odds from now on.
    pub(crate) fn weather(&self, world: &World, dice: &Dice) {
        if self.log_is_short() {
            return;
        }
        let rough = Odds { slow: 0.03, ..Odds::rough() };
        let (what, odds) = match dice.below(10) {
            0..4 => ("calm", Odds::default()),
            4..7 => ("rough", rough),
            7 => ("out", Odds { unavailable: 0.8, ..rough }),
            _ => ("lying", Odds { flip_bit: 0.02, truncate: 0.02, missing: 0.02, says_exists: 0.02, ..rough }),
        };
        world.faults.set_odds(odds);
        world.trace(format!("the store is {what}"));
    }

    /// The next snapshot that is put will have a bit wrong, and nobody is told.
    pub(crate) fn spoil_a_snapshot(world: &World, dice: &Dice) {
        world.faults.add(Rule::new(Fault::Garble(dice.draw())).on(RequestKind::Put).prefix("snapshots/").nth(1));
        world.count(Outcome::Mishap);
        world.trace("the next snapshot will rot".to_owned());
    }

    /// An object that a live entry names vanishes, or rots.
    pub(crate) fn take_object(&self, world: &World, dice: &Dice) {
        let mut audit = world.audit.borrow_mut();
        let is_ours = |name: &String| !name.starts_with("checkpoints/") && !audit.taken.contains(name);
        let mut named: Vec<String> = audit.named().into_iter().filter(is_ours).collect();
        // Deltas are few, and more is to be seen with one of them.
        let blobs: Vec<String> = named.iter().filter(|name| name.starts_with("blobs/")).cloned().collect();
        if !blobs.is_empty() && dice.percent(60) {
            named = blobs;
        }
        if named.is_empty() {
            return;
        }
        let name = dice.pick(&named).clone();
        let Some(bytes) = audit::read(&world.truth, &name) else { return };
        audit.taken.insert(name.clone());
        let rots = dice.percent(50);
        if rots {
            let mut rotten = bytes.to_vec();
            let at = dice.below(rotten.len() as u64) as usize;
            rotten[at] ^= 1 << dice.below(8);
            put(world, &name, rotten.into());
        } else {
            delete(world, &name);
        }
        drop(audit);
        world.count(Outcome::Mishap);
        world.trace(format!("{name} {}", if rots { "rots" } else { "vanishes" }));
        self.taken.borrow_mut().push(Taken { name, bytes });
    }

    /// The newest entry vanishes, and the hint tells of it. Only while nobody writes, and nothing is on its way; says
    /// whether it did.
    pub(crate) fn shorten_the_log(&self, world: &World) -> bool {
        let tail = world.audit.borrow().tail();
        let hint = read_hint(&world.truth).now_or_never().expect("memory answers at once");
        let told = hint.ok().flatten().is_some_and(|hint| hint.position.0 >= tail);
        if tail < 4 || !told || world.faults.delayed() > 0 || self.any() {
            return false;
        }
        let name = audit::name(tail);
        let Some(bytes) = audit::read(&world.truth, &name) else { return false };
        world.faults.clear();
        delete(world, &name);
        world.audit.borrow_mut().taken.insert(name.clone());
        world.count(Outcome::Mishap);
        world.trace(format!("{name} vanishes, the newest entry"));
        self.taken.borrow_mut().push(Taken { name, bytes });
        self.log_is_short.set(true);
        true
    }

    /// Gives back what was taken.
    pub(crate) fn restore(&self, world: &World) {
        for Taken { name, bytes } in self.taken.take() {
            world.audit.borrow_mut().taken.remove(&name);
            if name.starts_with("log/") {
                let created = world.truth.create(&name, bytes).now_or_never().expect("memory answers at once");
                if !matches!(created, Ok(cenote_store::storage::Created::Yes)) {
                    world.fail(format!("{name} was decided twice (I1)"));
                }
                self.log_is_short.set(false);
            } else if world.audit.borrow().named().contains(&name) {
                put(world, &name, bytes);
            } else {
                // It was trimmed meanwhile: nobody misses it.
                delete(world, &name);
            }
            world.trace(format!("{name} is back"));
        }
    }

    /// From now on the store is as it should be.
    pub(crate) fn end(&self, world: &World) {
        world.faults.clear();
        self.restore(world);
    }
}

/// Longer than any put that was told to have failed takes to land.
pub(crate) const ALL_LANDED: Duration = Duration::from_secs(300);

fn put(world: &World, name: &str, bytes: Bytes) {
    world.truth.put(name, bytes).now_or_never().expect("memory answers at once").expect("memory does not fail");
}

fn delete(world: &World, name: &str) {
    world.truth.delete(name).now_or_never().expect("memory answers at once").expect("memory does not fail");
}
