//! The driver: draws a step, gives it to somebody, lets time pass, looks at the log; again.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::dice::Dice;
use super::mishaps::Mishaps;
use super::producers::{PATIENT, What};
use super::slot::{Mood, Slot};
use super::tally::Outcome;
use super::world::World;
use super::{consumers, janitor, producers, quiet};

/// Everything live is looked at again after so many steps.
const RECHECK_EVERY: u64 = 25;
/// All must be well again after so many steps.
const QUIET_EVERY: u64 = 2_000;
/// What passes between two steps, at most.
const PAUSE: Duration = Duration::from_millis(1_200);

/// Who is there.
pub(crate) struct Stage {
    pub(crate) world: Rc<World>,
    pub(crate) dice: Dice,
    pub(crate) producers: [Slot<producers::Order>; 2],
    pub(crate) consumers: [Slot<consumers::Order>; 3],
    pub(crate) janitors: [Slot<()>; 2],
    pub(crate) mishaps: Mishaps,
    /// Until which step each producer, then each consumer, is left alone.
    naps: [Cell<u64>; 5],
}

impl Stage {
    fn new(world: Rc<World>) -> Stage {
        Stage {
            dice: Dice::new(world.plan.seed),
            world,
            producers: ["anna", "bert"].map(Slot::new),
            consumers: ["carl", "dora", "emil"].map(Slot::new),
            janitors: ["fred", "gerd"].map(Slot::new),
            mishaps: Mishaps::default(),
            naps: Default::default(),
        }
    }
}

/// Takes all steps of the plan, then sees that all is well.
pub(crate) async fn drive(world: Rc<World>, tell: &mut dyn FnMut(&str)) {
    let stage = Stage::new(world.clone());
    let started = world.env.now().0;
    for step in 1..=world.plan.steps {
        world.step.set(step);
        stage.step().await;
        world.env.sleep(stage.dice.wait(PAUSE)).await;
        stage.look(step).await;
        if step % QUIET_EVERY == 0 && !world.has_failed() {
            quiet::all_is_well(&stage).await;
        }
        world.lines().iter().for_each(|line| tell(line));
        if world.has_failed() {
            return;
        }
    }
    quiet::all_is_well(&stage).await;
    world.hours.set((world.env.now().0 - started) / 3_600_000);
    world.lines().iter().for_each(|line| tell(line));
}

impl Stage {
    async fn step(&self) {
        match self.dice.below(1_000) {
            0..330 => self.order_producer(),
            330..380 => self.start_producer(),
            380..395 => self.kill_producer(),
            395..700 => self.order_consumer(),
            700..760 => self.start_consumer(),
            760..770 => self.kill_consumer(),
            770..820 => self.start_janitor(),
            820..840 => self.kill_janitor(),
            840..880 => self.mishaps.weather(&self.world, &self.dice),
            880..900 => self.mishap().await,
            900..930 => self.mishaps.restore(&self.world),
            930..945 => self.nap(),
            _ => {}
        }
    }

    async fn look(&self, step: u64) {
        let passes = match self.dice.below(1_000) {
            0..20 => self.dice.wait(Duration::from_secs(300)),
            20..23 => self.dice.wait(Duration::from_secs(3 * 3_600)),
            _ => Duration::ZERO,
        };
        self.world.env.sleep(passes).await;
        if step.is_multiple_of(RECHECK_EVERY) {
            self.world.look_again();
        } else {
            self.world.look();
        }
        self.note_panics().await;
    }

    pub(crate) async fn note_panics(&self) {
        for slot in &self.producers {
            self.note_panic(slot).await;
        }
        for slot in &self.consumers {
            self.note_panic(slot).await;
        }
        for slot in &self.janitors {
            self.note_panic(slot).await;
        }
    }

    async fn note_panic<O: 'static>(&self, slot: &Slot<O>) {
        if let Some(what) = slot.panicked().await {
            self.world.fail(format!("{} panicked: {what}", slot.name));
        }
    }

    fn is_awake(&self, index: usize) -> bool {
        self.naps[index].get() <= self.world.step.get()
    }

    /// One of two or more in this mood, and awake.
    fn pick<'s, O: 'static>(&self, slots: &'s [Slot<O>], first: usize, mood: Mood) -> Option<&'s Slot<O>> {
        let fitting = slots.iter().enumerate();
        let fitting = fitting.filter(|(index, slot)| slot.mood() == mood && self.is_awake(first + index));
        let fitting: Vec<_> = fitting.map(|(_, slot)| slot).collect();
        (!fitting.is_empty()).then(|| *self.dice.pick(&fitting))
    }

    fn start_producer(&self) {
        let Some(slot) = self.pick(&self.producers, 0, Mood::Gone) else { return };
        self.open_producer(slot, self.dice.percent(60));
    }

    pub(crate) fn open_producer(&self, slot: &Slot<producers::Order>, take_over: bool) {
        let opening = producers::Opening { name: slot.name, take_over };
        let world = self.world.clone();
        slot.start(|seat| producers::live(world, opening, seat));
    }

    fn order_producer(&self) {
        let Some(slot) = self.pick(&self.producers, 0, Mood::Idle) else { return };
        let what = match self.dice.below(100) {
            0..66 => What::Update,
            66..77 => What::Cycle,
            77..79 => What::Large,
            79..86 => What::Republish,
            86..98 => What::Snapshot,
            _ => What::Close,
        };
        let patience = if self.dice.percent(10) { self.dice.wait(Duration::from_millis(400)) } else { PATIENT };
        slot.order(producers::Order { what, patience, dice: self.dice.split() });
    }

    fn kill_producer(&self) {
        let slot = self.dice.pick(&self.producers);
        let index = self.producers.iter().position(|other| other.name == slot.name);
        if !index.is_some_and(|index| self.is_awake(index)) {
            return;
        }
        self.kill(slot);
        if self.world.owner.get() == Some(slot.name) {
            self.world.owner.set(None);
        }
    }

    fn kill<O: 'static>(&self, slot: &Slot<O>) {
        if slot.mood() != Mood::Gone {
            self.world.count(Outcome::Killed);
            self.world.trace(format!("{} is killed", slot.name));
            slot.kill();
        }
    }

    fn start_consumer(&self) {
        let Some(slot) = self.pick(&self.consumers, 2, Mood::Gone) else { return };
        let poll = self.dice.percent(30).then(|| Duration::from_secs(30 + self.dice.below(60)));
        let opening = consumers::Opening { name: slot.name, poll };
        let world = self.world.clone();
        slot.start(|seat| consumers::live(world, opening, seat));
    }

    fn order_consumer(&self) {
        let Some(slot) = self.pick(&self.consumers, 2, Mood::Idle) else { return };
        slot.order(match self.dice.below(100) {
            0..78 => consumers::Order::Refresh,
            78..90 => consumers::Order::Hold,
            90..97 => consumers::Order::LetGo,
            _ => consumers::Order::Close,
        });
    }

    fn kill_consumer(&self) {
        self.kill(self.dice.pick(&self.consumers));
    }

    fn start_janitor(&self) {
        let Some(slot) = self.janitors.iter().find(|slot| slot.mood() == Mood::Gone) else { return };
        // A second writer of entries would fill the gap that a mishap left.
        if self.mishaps.log_is_short() {
            return;
        }
        let (world, checkpoint) = (self.world.clone(), self.dice.percent(50));
        slot.start(|seat| janitor::live(world, checkpoint, seat));
    }

    fn kill_janitor(&self) {
        self.kill(self.dice.pick(&self.janitors));
    }

    async fn mishap(&self) {
        if self.mishaps.log_is_short() {
            return;
        }
        match self.dice.below(10) {
            0..6 => self.mishaps.take_object(&self.world, &self.dice),
            6..8 => Mishaps::spoil_a_snapshot(&self.world, &self.dice),
            // Who naps is to wake up in another world, not to die in its sleep.
            _ if self.a_producer_naps() => {}
            _ => {
                self.stop_writers();
                self.world.look();
                match self.mishaps.shorten_the_log(&self.world) {
                    true if self.dice.percent(50) => self.open_producer(&self.producers[0], true),
                    true => self.consumers_look_behind().await,
                    false => {}
                }
            }
        }
    }

    /// Who follows a log whose newest entry is gone finds out, also who wakes up for it.
    async fn consumers_look_behind(&self) {
        for slot in self.consumers.iter().filter(|slot| slot.mood() == Mood::Idle) {
            slot.order(consumers::Order::LookBehind);
        }
        self.world.env.sleep(2 * consumers::LOOK_BEHIND).await;
    }

    /// Kills whoever writes.
    pub(crate) fn stop_writers(&self) {
        self.producers.iter().for_each(|slot| self.kill(slot));
        self.janitors.iter().for_each(|slot| self.kill(slot));
        self.world.owner.set(None);
    }

    /// A consumer naps, or a producer that has nothing to do.
    fn nap(&self) {
        let (who, steps) = (self.dice.below(5) as usize, 100 + self.dice.below(600));
        if self.producers.get(who).is_none_or(|slot| slot.mood() == Mood::Idle) {
            self.naps[who].set(self.world.step.get() + steps);
        }
    }

    fn a_producer_naps(&self) -> bool {
        let naps = |(index, slot): (usize, &Slot<_>)| slot.mood() != Mood::Gone && !self.is_awake(index);
        self.producers.iter().enumerate().any(naps)
    }
}
