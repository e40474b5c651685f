//! The driver: draws a step, gives it to an actor or the store, lets time pass, and reads the log.
//!
//! It draws from one seeded stream, and gives each command to a producer a separate one, so that the draws of an actor do
//! not depend on when it draws.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use cenote_testing::faults::{Fault, RequestKind, Rule};

use super::context::Context;
use super::producers::{Action, PATIENT};
use super::rng::Rng;
use super::slot::{ActorState, Slot};
use super::store_faults::{ALL_LANDED, StoreFaults};
use super::tally::Outcome;
use super::{consumers, producers, recovery, retention};

/// The whole log is checked again after this number of steps.
const RECHECK_EVERY: u64 = 25;
/// Recovery is checked after this number of steps.
const RECOVERY_EVERY: u64 = 2_000;
/// The longest time between two steps.
const PAUSE: Duration = Duration::from_millis(1_200);

/// All actors, with what they share.
pub(crate) struct Driver {
    pub(crate) context: Rc<Context>,
    pub(crate) rng: Rng,
    pub(crate) producers: [Slot<producers::Command>; 2],
    pub(crate) consumers: [Slot<consumers::Command>; 3],
    pub(crate) retention_jobs: [Slot<()>; 2],
    pub(crate) store_faults: StoreFaults,
    /// The step up to which each producer, then each consumer, gets no commands.
    paused_until: [Cell<u64>; 5],
}

impl Driver {
    fn new(context: Rc<Context>) -> Driver {
        Driver {
            rng: Rng::new(context.plan.seed),
            context,
            producers: ["producer-1", "producer-2"].map(Slot::new),
            consumers: ["consumer-1", "consumer-2", "consumer-3"].map(Slot::new),
            retention_jobs: ["retention-1", "retention-2"].map(Slot::new),
            store_faults: StoreFaults::default(),
            paused_until: Default::default(),
        }
    }
}

/// Takes all steps of the plan, then checks recovery.
pub(crate) async fn drive(context: Rc<Context>, log: &mut dyn FnMut(&str)) {
    let driver = Driver::new(context.clone());
    let started = context.env.instant();
    for step in 1..=context.plan.steps {
        context.step.set(step);
        driver.step().await;
        context.env.sleep(driver.rng.wait(PAUSE)).await;
        driver.advance_time(step).await;
        if step % RECOVERY_EVERY == 0 && !context.has_failed() {
            recovery::check(&driver).await;
        }
        context.lines().iter().for_each(|line| log(line));
        if context.has_failed() {
            return;
        }
    }
    recovery::check(&driver).await;
    context.hours.set((context.env.instant() - started).as_secs() / 3_600);
    context.lines().iter().for_each(|line| log(line));
}

impl Driver {
    async fn step(&self) {
        match self.rng.below(1_000) {
            0..330 => self.command_producer(),
            330..380 => self.start_producer(),
            380..395 => self.kill_producer(),
            395..700 => self.command_consumer(),
            700..760 => self.start_consumer(),
            760..770 => self.kill_consumer(),
            770..820 => self.start_retention(),
            820..840 => self.kill_retention(),
            840..880 => self.store_faults.set_odds(&self.context, &self.rng),
            880..900 => self.damage_store().await,
            900..930 => self.store_faults.restore(&self.context),
            930..945 => self.pause(),
            945..955 => self.stop_between_check_and_put().await,
            955..970 => self.trim_during_refresh().await,
            970..975 => self.set_clock(),
            975..980 => self.store_faults.copy_dataset(&self.context),
            980..983 => self.restore_copy().await,
            _ => {}
        }
    }

    async fn advance_time(&self, step: u64) {
        let passes = match self.rng.below(1_000) {
            0..20 => self.rng.wait(Duration::from_mins(5)),
            20..23 => self.rng.wait(Duration::from_hours(3)),
            _ => Duration::ZERO,
        };
        self.context.env.sleep(passes).await;
        if step.is_multiple_of(RECHECK_EVERY) {
            self.context.recheck_log();
        } else {
            self.context.read_log();
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
        for slot in &self.retention_jobs {
            self.note_panic(slot).await;
        }
    }

    async fn note_panic<O: 'static>(&self, slot: &Slot<O>) {
        if let Some(what) = slot.panicked().await {
            self.context.fail(format!("{} panicked: {what}", slot.name));
        }
    }

    fn is_active(&self, index: usize) -> bool {
        self.paused_until[index].get() <= self.context.step.get()
    }

    /// Draws one of the actors in this state that are not paused.
    fn pick<'s, O: 'static>(&self, slots: &'s [Slot<O>], first: usize, state: ActorState) -> Option<&'s Slot<O>> {
        let fitting = slots.iter().enumerate();
        let fitting = fitting.filter(|(index, slot)| slot.state() == state && self.is_active(first + index));
        let fitting: Vec<_> = fitting.map(|(_, slot)| slot).collect();
        (!fitting.is_empty()).then(|| *self.rng.pick(&fitting))
    }

    fn start_producer(&self) {
        let Some(slot) = self.pick(&self.producers, 0, ActorState::Absent) else { return };
        self.open_producer(slot, self.rng.percent(60));
    }

    pub(crate) fn open_producer(&self, slot: &Slot<producers::Command>, take_over: bool) {
        let opening = producers::Opening { name: slot.name, take_over };
        let context = self.context.clone();
        slot.start(|mailbox| producers::run(context, opening, mailbox));
    }

    fn command_producer(&self) {
        let Some(slot) = self.pick(&self.producers, 0, ActorState::Idle) else { return };
        let action = match self.rng.below(100) {
            0..66 => Action::Update,
            66..77 => Action::Cycle,
            77..79 => Action::Large,
            79..86 => Action::Republish,
            86..98 => Action::Snapshot,
            _ => Action::Close,
        };
        let patience = if self.rng.percent(10) { self.rng.wait(Duration::from_millis(400)) } else { PATIENT };
        slot.send(producers::Command { action, patience, rng: self.rng.split() });
    }

    fn kill_producer(&self) {
        let slot = self.rng.pick(&self.producers);
        let index = self.producers.iter().position(|other| other.name == slot.name);
        if !index.is_some_and(|index| self.is_active(index)) {
            return;
        }
        self.kill(slot);
        if self.context.owner.get() == Some(slot.name) {
            self.context.owner.set(None);
        }
    }

    fn kill<O: 'static>(&self, slot: &Slot<O>) {
        if slot.state() != ActorState::Absent {
            self.context.count(Outcome::Killed);
            self.context.trace(format!("{} is killed", slot.name));
            slot.kill();
        }
    }

    fn start_consumer(&self) {
        let Some(slot) = self.pick(&self.consumers, 2, ActorState::Absent) else { return };
        let poll = self.rng.percent(30).then(|| Duration::from_secs(30 + self.rng.below(60)));
        let opening = consumers::Opening { name: slot.name, poll };
        let context = self.context.clone();
        slot.start(|mailbox| consumers::run(context, opening, mailbox));
    }

    fn command_consumer(&self) {
        let Some(slot) = self.pick(&self.consumers, 2, ActorState::Idle) else { return };
        slot.send(match self.rng.below(100) {
            0..78 => consumers::Command::Refresh,
            78..90 => consumers::Command::HoldView,
            90..97 => consumers::Command::ReleaseViews,
            _ => consumers::Command::Close,
        });
    }

    fn kill_consumer(&self) {
        self.kill(self.rng.pick(&self.consumers));
    }

    fn start_retention(&self) {
        let Some(slot) = self.retention_jobs.iter().find(|slot| slot.state() == ActorState::Absent) else { return };
        // A writer would fill the position of the missing entry.
        if self.store_faults.newest_entry_is_missing() {
            return;
        }
        let (context, checkpoint) = (self.context.clone(), self.rng.percent(50));
        slot.start(|mailbox| retention::run(context, checkpoint, mailbox));
    }

    fn kill_retention(&self) {
        self.kill(self.rng.pick(&self.retention_jobs));
    }

    async fn damage_store(&self) {
        if self.store_faults.newest_entry_is_missing() {
            return;
        }
        match self.rng.below(10) {
            0..6 => self.store_faults.damage_object(&self.context, &self.rng),
            6..8 => StoreFaults::corrupt_next_snapshot(&self.context, &self.rng),
            // A paused producer must go on after a pause, so it is not killed here.
            _ if self.a_producer_is_paused() => {}
            _ => {
                self.stop_writers();
                self.context.read_log();
                match self.store_faults.remove_newest_entry(&self.context) {
                    true if self.rng.percent(50) => self.open_producer(&self.producers[0], true),
                    true => self.consumers_check_end().await,
                    false => {}
                }
            }
        }
    }

    /// Consumers that follow a log without its newest entry must notice.
    async fn consumers_check_end(&self) {
        for slot in self.consumers.iter().filter(|slot| slot.state() == ActorState::Idle) {
            slot.send(consumers::Command::CheckEnd);
        }
        self.context.env.sleep(2 * consumers::CHECK_END_AFTER).await;
    }

    /// An idle producer puts an object, and is stopped before it puts the entry that names it; meanwhile retention runs.
    async fn stop_between_check_and_put(&self) {
        let Some(slot) = self.pick(&self.producers, 0, ActorState::Idle) else { return };
        if self.store_faults.newest_entry_is_missing() {
            return;
        }
        let stopped = Duration::from_secs(10) + self.rng.wait(Duration::from_secs(50));
        self.context.faults.add(Rule::new(Fault::Slow(stopped)).on(RequestKind::Create).prefix("log/").nth(1));
        self.context.count(Outcome::Stopped);
        self.context.trace(format!("{} is stopped for {stopped:?} after its next object", slot.name));
        let action = if self.rng.percent(50) { Action::Large } else { Action::Snapshot };
        slot.send(producers::Command { action, patience: PATIENT, rng: self.rng.split() });
        self.context.env.sleep(Duration::from_secs(3)).await;
        self.start_retention();
    }

    /// A consumer has looked at the log and loads what it found, slowly or not at all; meanwhile the log is trimmed.
    async fn trim_during_refresh(&self) {
        // One that was paused lags, and loads more than the others.
        let idle: Vec<_> = self.consumers.iter().filter(|slot| slot.state() == ActorState::Idle).collect();
        if idle.is_empty() || self.store_faults.newest_entry_is_missing() {
            return;
        }
        let slow = Fault::Slow(Duration::from_secs(5) + self.rng.wait(Duration::from_secs(30)));
        let (fault, times) = if self.rng.percent(50) { (slow, 1) } else { (Fault::Missing, 2) };
        for folder in ["snapshots/", "blobs/"] {
            self.context.faults.add(Rule::new(fault).on(RequestKind::Get).prefix(folder).times(times));
        }
        self.rng.pick(&idle).send(consumers::Command::Refresh);
        self.context.env.sleep(Duration::from_secs(1)).await;
        if let Some(producer) = self.pick(&self.producers, 0, ActorState::Idle) {
            let rng = self.rng.split();
            producer.send(producers::Command { action: Action::Snapshot, patience: PATIENT, rng });
            self.context.env.sleep(Duration::from_secs(2)).await;
        }
        self.start_retention();
    }

    /// Sets the wall clock forward or back, by up to two days.
    fn set_clock(&self) {
        let most = 2 * 24 * 3_600_000;
        let by = i64::try_from(self.rng.below(2 * most)).expect("small") - i64::try_from(most).expect("small");
        self.context.env.set_clock_by(by);
        self.context.count(Outcome::ClockSet);
        self.context.trace(format!("the clock is set by {by} ms"));
    }

    /// An operator stops all writers and puts an older copy of the dataset back; consumers go on.
    async fn restore_copy(&self) {
        // A paused producer must go on after a pause, so it is not killed here.
        if self.store_faults.any() || self.a_producer_is_paused() {
            return;
        }
        self.stop_writers();
        self.context.env.sleep(ALL_LANDED).await;
        self.context.read_log();
        if !self.store_faults.restore_copy(&self.context) {
            return;
        }
        for slot in &self.consumers {
            match slot.state() {
                ActorState::Idle => slot.send(consumers::Command::NoticeCopy),
                _ => self.kill(slot),
            }
        }
        self.context.env.sleep(2 * consumers::CHECK_END_AFTER).await;
    }

    /// Kills all writers.
    pub(crate) fn stop_writers(&self) {
        self.producers.iter().for_each(|slot| self.kill(slot));
        self.retention_jobs.iter().for_each(|slot| self.kill(slot));
        self.context.owner.set(None);
    }

    /// Pauses a consumer, or an idle producer.
    fn pause(&self) {
        let (index, steps) = (self.rng.below(5) as usize, 100 + self.rng.below(600));
        if self.producers.get(index).is_none_or(|slot| slot.state() == ActorState::Idle) {
            self.paused_until[index].set(self.context.step.get() + steps);
        }
    }

    fn a_producer_is_paused(&self) -> bool {
        let is_paused = |(index, slot): (usize, &Slot<_>)| slot.state() != ActorState::Absent && !self.is_active(index);
        self.producers.iter().enumerate().any(is_paused)
    }
}
